"""Windows of days for networks that look back: Qlib's samples, gathered a batch at a time.

Qlib's ``TSDataSampler`` makes a sample by some twenty calls of Python. Its tables are taken as they
are, and the places of all samples are found at once, so that a batch is one look-up.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Windows:
    """The samples of a ``TSDataSampler``, filled as Qlib's sequence models ask for.

    A day that an instrument has no row of takes the row before it, or after it where there is
    none before (``ffill+bfill``).

    Args:
        sampler: Of Qlib's ``TSDatasetH.prepare``.
        weighted: Whether a batch comes with weights of 1, as most of Qlib's models expect.
    """

    def __init__(self, sampler: Any, *, weighted: bool) -> None:
        self._values: NDArray[Any] = sampler.data_arr
        self._places = places_of(sampler)
        self._weighted = weighted
        self.index = sampler.get_index()

    def __len__(self) -> int:
        """Return how many samples there are."""
        return len(self._places)

    def __getitem__(self, place: int) -> Any:
        """Return one sample."""
        return self.__getitems__([place])

    def __getitems__(self, places: list[int]) -> Any:
        """Return a batch, which ``torch.utils.data.DataLoader`` asks for at once."""
        import torch

        data = torch.from_numpy(self._values[self._places[places]])
        return (data, torch.ones(len(places), dtype=torch.float64)) if self._weighted else data


def places_of(sampler: Any) -> NDArray[np.int64]:
    """Return, for each sample, the rows of its days: samples × days, the oldest first."""
    rows, columns = sampler.idx_map[:, 0].astype(np.int64), sampler.idx_map[:, 1]
    days = rows[:, None] + np.arange(1 - sampler.step_len, 1)
    found = sampler.idx_arr[np.maximum(days, 0), columns[:, None]]
    there = (days >= 0) & ~np.isnan(found)
    filled = np.take_along_axis(found, filled_from(there), axis=1)
    return np.where(np.isnan(filled), sampler.nan_idx, filled).astype(np.int64)


def filled_from(there: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return, for each day of a window, the day whose row it takes.

    Its own, else the last before it that is there, else the first one.

    Args:
        there: Samples × days: whether there is a row.
    """
    before = np.maximum.accumulate(np.where(there, np.arange(there.shape[1]), -1), axis=1)
    return np.where(before >= 0, before, np.argmax(there, axis=1)[:, None])
