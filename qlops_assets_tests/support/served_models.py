"""Tiny registered models and in-memory feature rows, for tests that need a real model server."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from qlops_assets.core.errors import DatasetMissingError, FeatureDefinitionError
from qlops_assets.core.journal import Journal
from qlops_assets.core.prediction import FeatureRows, FloatMatrix
from qlops_assets.core.settings import Settings
from qlops_assets.deployment.history import DeploymentEvent, DeploymentHistory
from qlops_assets.models.artifact import save_artifact
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent

FEATURES = ["KMID", "KLEN", "ROC5", "STD20", "CORR60"]
DAYS = [date(2024, 1, 4), date(2024, 1, 5)]
INSTRUMENTS = [f"SH6000{i:02d}" for i in range(12)]
TOKEN = "token-of-the-tests-0123456789"


def random_rows(seed: int, rows: int, width: int = len(FEATURES)) -> FloatMatrix:
    """Return rows with a tenth of the values missing."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, width)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    return values


def train_text(seed: int, width: int = len(FEATURES), **parameters: object) -> str:
    """Return the text of a small LightGBM model trained on random rows."""
    import lightgbm

    values = random_rows(seed, 400, width)
    label = np.nan_to_num(values[:, 0]) * (seed + 1) + np.nan_to_num(values[:, 1]) ** 2
    parameters = {"objective": "l2", "num_leaves": 7, "verbose": -1, "num_threads": 1} | parameters
    data = lightgbm.Dataset(values, label=label)
    return str(lightgbm.train(parameters, data, num_boost_round=12).model_to_string())


def register(
    settings: Settings,
    journal: Journal,
    version: str,
    text: str,
    *,
    expressions: Mapping[str, str] | None = None,
    **facts: object,
) -> str:
    """Save an artifact and take its version through the registry to ``validated``."""
    artifact = save_artifact(
        settings.models / version,
        content=text.encode(),
        format_name="lightgbm-text",
        features=FEATURES,
        expressions=expressions,
    )
    registry = Registry(journal)
    for event in (ModelEvent.STARTED, ModelEvent.TRAINED, ModelEvent.VALIDATED):
        known = {"artifact_sha256": artifact.sha256, **facts} if event is ModelEvent.TRAINED else {}
        registry.advance(version, event, by="tests", why="needed", facts=known)
    return version


def set_live(journal: Journal, environment: str, version: str) -> None:
    """Record a completed deployment."""
    DeploymentHistory(journal).record(environment, version, DeploymentEvent.COMPLETED, by="tests")


@dataclass
class InMemoryFeatures:
    """A ``FeatureLookup`` over one seeded table; it can be made slow, to wait, and to be empty."""

    days: list[date] = field(default_factory=lambda: list(DAYS))
    open_gate: threading.Event = field(default_factory=threading.Event)
    row_seconds: float = 0.0
    computed_by: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.open_gate.set()

    def table(self, day: date) -> FloatMatrix:
        """Return every row of a day, in the order of ``INSTRUMENTS``."""
        return random_rows(day.toordinal(), len(INSTRUMENTS))

    def last_date(self) -> date | None:
        """Return the newest day."""
        return max(self.days, default=None)

    def rows(
        self,
        day: date,
        features: Sequence[str],
        instruments: Sequence[str] | None = None,
        *,
        expressions: Mapping[str, str] | None = None,
        window: int = 1,
    ) -> FeatureRows:
        """Return the rows of a day; instruments without a row are left out."""
        for name, expression in (expressions or {}).items():
            if (stored := self.computed_by.get(name)) != expression:
                raise FeatureDefinitionError(name, f"{day:%Y-%m}", stored, expression)
        self.open_gate.wait(10)
        time.sleep(self.row_seconds)
        if day not in self.days:
            raise DatasetMissingError("factors", [day.isoformat()], "materialize this day")
        names = [i for i in (instruments or INSTRUMENTS) if i in INSTRUMENTS]
        columns = [FEATURES.index(name) for name in features]
        index = [INSTRUMENTS.index(name) for name in names]
        days = [day - timedelta(days=back) for back in range(window - 1, -1, -1)]
        values = [self.table(one)[index][:, columns] for one in days]
        return FeatureRows(day, names, np.concatenate(values, axis=1))


class FrozenClock:
    """A clock that stands still."""

    def now(self) -> datetime:
        """Return one moment."""
        return datetime(2024, 1, 6, 12, tzinfo=UTC)


def expected_scores(text: str, values: FloatMatrix) -> NDArray[np.float64]:
    """Return what LightGBM itself answers."""
    import lightgbm

    return np.asarray(lightgbm.Booster(model_str=text).predict(values), dtype=np.float64)
