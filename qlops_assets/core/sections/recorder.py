"""``[recorder]``: whether trainings are recorded in MLflow, by Qlib's own recorder."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecorderSettings:
    """``[recorder]``: the record of trainings for Qlib's users.

    Attributes:
        enabled: Whether every training that ends is recorded in the home's MLflow database.
    """

    enabled: bool = True
