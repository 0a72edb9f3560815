"""NumPy's global generator, from which Qlib's models draw."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """Seed the generator for the block; it is as it was afterwards.

    Qlib 0.9.7 draws without a seed of its own (Double Ensemble), or seeds it for good (networks).
    """
    before = np.random.get_state()  # the one that Qlib draws from
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)
