"""How fast a stage goes, and when it will have done all of its steps."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

_RECENT: Final = 30
_FEWEST: Final = 3
# Student's t, two-sided 95 %, of 2 to 29 degrees of freedom.
_T: Final = (
    *(4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010),
    *(2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860, 2.0796),
    *(2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452),
)


@dataclass(frozen=True, slots=True)
class Eta:
    """Seconds until all steps are done.

    Attributes:
        seconds: Expected.
        low: The lower end of its 95 % interval.
        high: The upper end.
    """

    seconds: float
    low: float
    high: float


class Pace:
    """The durations of a stage's recent steps."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._step = 0
        self._durations: deque[float] = deque(maxlen=_RECENT)

    def reached(self, step: int, at: float) -> None:
        """Take note that ``step`` was done at ``at`` seconds; going back begins anew."""
        if self._at is not None and step > self._step:
            done = step - self._step
            self._durations.append((at - self._at) / done)
        elif step <= self._step:
            self._durations.clear()
        self._at, self._step = at, step

    @property
    def step_seconds(self) -> float | None:
        """Mean seconds of a recent step, None before there are two reports."""
        if not self._durations:
            return None
        return math.fsum(self._durations) / len(self._durations)

    def left(self, total: int | None) -> Eta | None:
        """Return how long the steps up to ``total`` will take.

        The interval is the prediction interval of a sum of ``m`` further durations of which ``n``
        were seen: ``m x ± t s sqrt(m + m²/n)``, with mean ``x`` and deviation ``s`` of those
        seen and Student's ``t`` of ``n - 1`` degrees of freedom (Montgomery, Runger: Applied
        Statistics and Probability for Engineers, section 8-6.1, for the sum in place of one).

        Args:
            total: All steps; None where nobody knows.

        Returns:
            None before three steps were timed, or where the total is unknown.
        """
        mean, seen = self.step_seconds, len(self._durations)
        if total is None or mean is None or seen < _FEWEST:
            return None
        ahead = max(0, total - self._step)
        squares = math.fsum((d - mean) ** 2 for d in self._durations)
        deviation = math.sqrt(squares / (seen - 1))
        half = _T[seen - _FEWEST] * deviation * math.sqrt(ahead + ahead * ahead / seen)
        expected = ahead * mean
        return Eta(expected, max(0.0, expected - half), expected + half)
