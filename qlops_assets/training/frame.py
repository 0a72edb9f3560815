"""From stored factors to Qlib's dataset, without recomputing anything."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from qlops_assets.core.columns import DATE, FIELDS, INSTRUMENT, KEY, LABEL
from qlops_assets.core.errors import ExpressionError, TrainingError
from qlops_assets.core.progress import Progress
from qlops_assets.core.settings import Settings, TrainingSettings
from qlops_assets.factors.alpha158_names import ALPHA158_NAMES
from qlops_assets.factors.engine import ENGINES
from qlops_assets.factors.grammar.look_back import look_ahead
from qlops_assets.factors.grammar.names import require_fields
from qlops_assets.factors.grammar.parser import parse
from qlops_assets.factors.lookup import FactorTable
from qlops_assets.lake.universe import load_universe, members
from qlops_assets.training.segments import Segments

if TYPE_CHECKING:
    import pandas as pd


def compute_labels(settings: Settings, label: str, progress: Progress) -> pl.DataFrame:
    """Return ``instrument, date, LABEL0`` for every row of the lake's bars.

    The label looks ahead, so it is computed over all instruments and days first and cut to the
    universe afterwards, as Qlib does.
    """
    engine = ENGINES.load(settings.features.engine)()
    return pl.concat(list(engine.from_lake(settings, {LABEL: label}, progress=progress)))


def require_label(training: TrainingSettings) -> None:
    """Refuse a label that is no expression over the bars, or that sees past the embargo.

    Raises:
        TrainingError: it is none, or it looks further ahead than its horizon says.
    """
    label = training.label
    try:
        tree = parse(label, look_ahead=True)
        require_fields(label, FIELDS)
    except ExpressionError as error:
        raise TrainingError(f"[training] label: {error}") from error
    ahead = look_ahead(tree)
    if ahead > training.label_horizon_days:
        raise TrainingError(
            f"[training] label_horizon_days: was {training.label_horizon_days}, must be at least "
            f"{ahead}, the trading days that the label {label!r} looks ahead"
        )


def training_rows(
    settings: Settings,
    labels: pl.DataFrame,
    features: Sequence[str] = ALPHA158_NAMES,
    *,
    columns: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Return the rows that the universe had, with factors and the label, by date and instrument.

    A row is there where the instrument was a member of the universe on that day.

    Args:
        settings: Of the home.
        labels: The label of every row of the bars.
        features: The factors, of whichever sets.
        columns: Those of them to read; all where None.
    """
    universe, table = load_universe(settings), FactorTable(settings, features)
    # Joining a month with its own labels, not with those of all years each time.
    of_month = labels.with_columns(month=pl.col(DATE).dt.strftime("%Y-%m")).partition_by(
        "month", as_dict=True, include_key=False
    )
    nothing = labels.clear()
    parts = []
    for month in table.months():
        rows = members(universe, table.read(month, columns=columns))
        # Sorted by month, which is cheap: months are in order already.
        parts.append(
            rows.join(of_month.get((month,), nothing), on=KEY, how="left").sort(DATE, INSTRUMENT)
        )
    frame = pl.concat(parts)
    if frame.is_empty():
        raise TrainingError(f"universe {universe.name!r}: no factor row belongs to it")
    return frame


def qlib_frame(rows: pl.DataFrame) -> "pd.DataFrame":
    """Return training rows in the form of a Qlib data handler.

    Index (datetime, instrument), columns (``feature``, name) and (``label``, ``LABEL0``), float32.
    """
    import pandas as pd

    names = feature_names(rows.columns)
    values = np.empty((rows.height, len(names) + 1), dtype=np.float32, order="F")
    for position, name in enumerate([*names, LABEL]):
        values[:, position] = rows.get_column(name).fill_null(float("nan")).to_numpy()
    columns = pd.MultiIndex.from_tuples([("feature", n) for n in names] + [("label", LABEL)])
    return pd.DataFrame(values, index=qlib_index(rows), columns=columns, copy=False)


def qlib_index(rows: pl.DataFrame) -> "pd.MultiIndex":
    """Return the (datetime, instrument) index of rows sorted by date and instrument."""
    import pandas as pd

    days = rows.get_column(DATE).to_numpy().astype("datetime64[ns]")
    codes = np.asarray(rows.get_column(INSTRUMENT).to_list(), dtype=object)
    return pd.MultiIndex.from_arrays(
        [pd.DatetimeIndex(days), codes], names=["datetime", "instrument"]
    )


def qlib_dataset(frame: "pd.DataFrame", segments: Segments) -> Any:
    """Return the ``DatasetH`` over a frame, with Alpha158's own processors.

    No processor for inference (trees take NaN); for learning ``DropnaLabel`` and ``CSZScoreNorm``
    of the label, as ``qlib.contrib.data.handler.Alpha158`` configures them.
    """
    from qlib.data.dataset import DatasetH
    from qlib.data.dataset.handler import DataHandlerLP
    from qlib.data.dataset.loader import StaticDataLoader

    handler = DataHandlerLP(
        data_loader=StaticDataLoader(frame),
        infer_processors=[],
        learn_processors=[
            {"class": "DropnaLabel"},
            {"class": "CSZScoreNorm", "kwargs": {"fields_group": "label"}},
        ],
    )
    return DatasetH(handler, segments=_qlib_segments(segments))


def _qlib_segments(segments: Segments) -> dict[str, tuple[date, date]]:
    return {"train": segments.train, "valid": segments.valid, "test": segments.test}


def require_rows(rows: pl.DataFrame, segments: Segments) -> dict[str, int]:
    """Return the rows with a label by segment.

    Raises:
        TrainingError: a segment has no row with a label.
    """
    counts = {}
    for name, (first, last) in _qlib_segments(segments).items():
        inside = rows.filter(pl.col(DATE).is_between(first, last))
        counts[name] = int(inside.get_column(LABEL).is_not_nan().sum())
        if not counts[name]:
            raise TrainingError(
                f"segment {name!r} ({first} to {last}): no row has a label; choose other dates or "
                "a universe with instruments in them"
            )
    return counts


def feature_names(columns: Sequence[str]) -> list[str]:
    """Return the feature columns of training rows."""
    return [column for column in columns if column not in (*KEY, LABEL)]
