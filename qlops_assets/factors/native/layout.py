"""Two ways to lay out the same values for the same kernels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Layout:
    """Values of all fields for one run.

    Histories one behind the other (``stride`` 1) serve long runs: output for every row. A table of
    days by instruments (``stride`` = instruments, one segment) serves one new day: each node is
    computed only for as many last days as something after it needs.

    Attributes:
        fields: Field name -> values.
        ages: For every value its place in its instrument's history, from 1; less where it has none.
        bounds: Where segments begin, and the end.
        stride: Values from one day to the next.
        days: Wanted days at the end of the segment; None for all.
        has_gaps: Whether some instrument's history begins later than the segment.
    """

    fields: Mapping[str, Numbers]
    ages: Integers
    bounds: Integers
    stride: int = 1
    days: int | None = None
    has_gaps: bool = False

    @property
    def size(self) -> int:
        """How many values a field has."""
        return int(self.bounds[-1])

    def values_of(self, need: int) -> int:
        """Return how many values at the end are computed of a node, by the days it is needed."""
        if self.days is None:
            return self.size
        return min((need + self.days) * self.stride, self.size)
