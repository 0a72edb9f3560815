"""``[rolling]``: windows that a recipe is trained on again and again, and when."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RollingSettings:
    """``[rolling]``: windows that a recipe is trained on again and again, and when.

    A recipe's own ``[rolling]`` may have ``step_days`` and ``kind``, which go before these.

    Attributes:
        enabled: Whether the schedule trains the newest window when it is due.
        spec: Recipe of the schedule, as ``qlops train --spec`` takes it; ``[training]`` where None.
        step_days: Trading days from one window to the next, which are those of its test.
        kind: ``sliding``: train moves as a whole; ``expanding``: its first day stays. Qlib's
            ``ROLL_SD`` and ``ROLL_EX``.
        schedule: When the schedule looks, as five fields of cron.
        timezone: Of ``schedule``.
    """

    enabled: bool = False
    spec: Path | None = None
    step_days: int = 20
    kind: str = "sliding"
    schedule: str = "30 18 * * 1-5"
    timezone: str = "UTC"
