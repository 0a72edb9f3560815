"""The two computing steps of a training: its data, and the fitted model with its predictions."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from qlops_assets.core.atomic import read_json, replacing, write_json
from qlops_assets.core.columns import KEY
from qlops_assets.core.errors import TrainingError
from qlops_assets.core.metering import release_freed_memory
from qlops_assets.core.progress import Progress
from qlops_assets.core.settings import Settings
from qlops_assets.features.current import current_version
from qlops_assets.features.store import FeatureStore
from qlops_assets.lake.qlib_bin import build_provider
from qlops_assets.lake.versions.provenance import training_origin
from qlops_assets.models.artifact import Artifact, save_artifact
from qlops_assets.models.processing import processing_of
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.models.trainer import FittedModel, Trainer
from qlops_assets.registry.used_data import TRAINING_SET
from qlops_assets.training.frame import (
    compute_labels,
    qlib_dataset,
    require_label,
    require_rows,
    training_frame,
    training_rows,
)
from qlops_assets.training.recipes import keep_recipe, with_recipe
from qlops_assets.training.spec import TrainingSpec, trainer_of, training_spec

LABELS = "labels.parquet"
PREDICTIONS = "predictions.parquet"
CURVES = "curves.json"
_LIBRARIES: Final = (
    "pyqlib",
    "lightgbm",
    "xgboost",
    "torch",
    "numpy",
    "pandas",
    "polars",
    "scikit-learn",
    "qlops_assets",
)


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What a training will see: its spec and its rows with a label by segment."""

    spec: TrainingSpec
    rows: dict[str, int]
    features: int
    instruments: int


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished fit: the artifact's record and how the boosting went."""

    artifact: Artifact
    best_iteration: int
    iterations: int
    train_loss: float
    valid_loss: float
    libraries: dict[str, str]


def prepare_training_set(settings: Settings, version: str, progress: Progress) -> TrainingSet:
    """Write the labels and the description of a training's data; return the latter.

    The version of the feature table that it sees is tagged with the model version's name.

    Raises:
        TrainingError: the lake is no longer what the version was named after, the label cannot be
            read or sees past the embargo, or a segment is empty.
        LakeError: no kept snapshot of the source has what the bars were made of.
        DatasetMissingError: the feature table does not have the features' rows.
    """
    settings = with_recipe(settings, version)
    spec = require_version(settings, version)
    folder = settings.models / version
    require_label(settings.training)
    with ThreadPoolExecutor(1) as aside:
        provider = aside.submit(build_provider, settings)  # which the fit will ask for
        labels = compute_labels(settings, spec.label, progress)
        features = current_version(settings, spec.feature_names)
        table_version = FeatureStore(settings).tag(version, features)
        rows = training_rows(settings, features, labels)
        provider.result()
    counts = require_rows(rows, spec.segments)
    with replacing(folder / LABELS) as path:
        labels.write_parquet(path, compression="zstd")
    instruments = rows.get_column(KEY[0]).n_unique()
    prepared = TrainingSet(spec, counts, len(spec.feature_names), instruments)
    numbers = {k: v for k, v in asdict(prepared).items() if k != "spec"}
    origin = training_origin(settings)
    document = {
        **spec.to_json(),
        "feature_definitions": spec.features,
        **numbers,
        **origin.to_json(),
        "feature_table_version": table_version,
    }
    write_json(folder / TRAINING_SET, document)
    keep_recipe(settings, version)
    return prepared


def require_version(settings: Settings, version: str) -> TrainingSpec:
    """Return the spec of the lake as it is now, if the version is named after it.

    Raises:
        TrainingError: data or settings changed since the version was named.
    """
    spec = training_spec(settings)
    if spec.version != version:
        raise TrainingError(
            f"model version {version!r} was named after other data or settings; what is here now "
            f"is {spec.version!r}: train that one"
        )
    return spec


def fit_model(settings: Settings, version: str, progress: Progress) -> Trained:
    """Fit a version's model, write its artifact and its predictions on valid and test.

    Raises:
        TrainingError: the training set is missing, or Qlib cannot train on it.
    """
    settings = with_recipe(settings, version)
    spec = require_version(settings, version)
    folder = settings.models / version
    if not (folder / LABELS).is_file():
        raise TrainingError(f"model version {version!r}: no training set; materialize it first")
    progress.report("load", 0, None)
    provider = build_provider(settings)  # before the frame is there: it reads all bars
    features = FeatureStore(settings).tagged(version)
    labels = pl.read_parquet(folder / LABELS)
    frame, keys = training_frame(settings, features, labels, spec.feature_names)
    release_freed_memory()
    trainer = trainer_of(settings)
    with qlib_session(provider, region=settings.training.region):
        progress.report("processors", 0, None)
        dataset = qlib_dataset(frame, spec.segments, spec.processors)
        processing = processing_of(dataset) if spec.processors["infer"] else None
        fitted = trainer.fit(dataset, progress)
        progress.report("predict", 0, None)
        predictions = _predictions(trainer, fitted, dataset)
    _write(folder, fitted, _with_labels(predictions, keys))
    artifact = save_artifact(
        folder,
        content=fitted.content,
        format_name=fitted.format_name,
        features=fitted.features,
        expressions=spec.feature_origin["custom"],
        processing=processing,
    )
    best = fitted.best_iteration - 1
    return Trained(
        artifact,
        fitted.best_iteration,
        fitted.iterations,
        train_loss=_curve(fitted, "train")[best],
        valid_loss=_curve(fitted, "valid")[best],
        libraries=library_versions(),
    )


def _write(folder: Path, fitted: FittedModel, predictions: pl.DataFrame) -> None:
    with replacing(folder / PREDICTIONS) as path:
        predictions.write_parquet(path, compression="zstd")
    curves = {"curves": fitted.curves, "importance": fitted.importance}
    write_json(folder / CURVES, {**curves, "best_iteration": fitted.best_iteration})


def _curve(fitted: FittedModel, segment: str) -> list[float]:
    return next(v for k, v in fitted.curves.items() if k.startswith(f"{segment}."))


def _predictions(trainer: Trainer, fitted: FittedModel, dataset: Any) -> pl.DataFrame:
    parts = []
    for segment in ("valid", "test"):
        scores = trainer.predict(fitted, dataset, segment)
        days = scores.index.get_level_values("datetime").to_numpy().astype("datetime64[D]")
        codes = scores.index.get_level_values("instrument").to_list()
        parts.append(
            pl.DataFrame({"instrument": codes, "date": days, "score": scores.to_numpy()})
            .with_columns(pl.lit(segment).alias("segment"))
            .cast({"date": pl.Date, "score": pl.Float64})
        )
    return pl.concat(parts)


def _with_labels(predictions: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    return predictions.join(keys, on=KEY, how="left").sort("date", "instrument")


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that decide a model's numbers."""
    from importlib.metadata import version

    return {name: version(name) for name in _LIBRARIES}


def read_training_set(settings: Settings, version: str) -> dict[str, Any]:
    """Return the description that :func:`prepare_training_set` wrote.

    Raises:
        TrainingError: there is none.
    """
    document = read_json(settings.models / version / TRAINING_SET)
    if document is None:
        raise TrainingError(f"model version {version!r}: no training set; materialize it first")
    return dict(document)


def predictions_path(settings: Settings, version: str) -> Path:
    """Return where a version's predictions on valid and test are."""
    return settings.models / version / PREDICTIONS
