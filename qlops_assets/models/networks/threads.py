"""What torch keeps for a whole process, held to what a training asks for while it fits."""

from collections.abc import Iterator
from contextlib import contextmanager

from qlops_assets.models.random_state import drawing


@contextmanager
def seeded(seed: int, threads: int) -> Iterator[None]:
    """Seed the generators that Qlib's networks draw from, and bound torch's threads.

    Both are as they were afterwards. The same seed and number of threads give the same weights,
    bit for bit.
    """
    import torch

    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]), drawing(seed):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
