"""From stored features to Qlib's dataset, without recomputing anything."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qlops_assets.core.columns import DATE, FIELDS, INSTRUMENT, KEY, LABEL
from qlops_assets.core.errors import ExpressionError, TrainingError
from qlops_assets.core.progress import Progress
from qlops_assets.core.sections.training import TrainingSettings
from qlops_assets.core.settings import Settings
from qlops_assets.factors.engine import ENGINES
from qlops_assets.factors.grammar.look_back import look_ahead
from qlops_assets.factors.grammar.names import require_fields
from qlops_assets.factors.grammar.parser import parse
from qlops_assets.features.version import FeatureVersion, FrameSpec
from qlops_assets.lake.universe import load_universe, members
from qlops_assets.training.processors import fitted_on
from qlops_assets.training.segments import Segments
from qlops_assets.training.storage import processed

if TYPE_CHECKING:
    import pandas as pd

Days = tuple[date, date]

_PLACE: Final = "_place"
_READERS: Final = 2


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
    settings: Settings, version: FeatureVersion, labels: pl.DataFrame, days: Days | None = None
) -> pl.DataFrame:
    """Return instrument, date and label of the rows of a training, by date and instrument.

    A row is there where the instrument was a member of the universe on that day, and the table has
    one.

    Args:
        settings: Of the home.
        version: Of the feature table.
        labels: The label of every row of the bars.
        days: First and last day; all where None.

    Raises:
        TrainingError: there is none.
    """
    universe = load_universe(settings)
    parts = []
    for first, last in _years(version, days):  # bounds what is in memory beside the result
        frame = version.training_frame(FrameSpec([], first, last))
        rows = members(universe, pl.DataFrame(pl.from_arrow(frame)))
        of_year = labels.filter(pl.col(DATE).is_between(first, last))
        parts.append(rows.join(of_year, on=KEY, how="left", maintain_order="left"))
    found = pl.concat(parts).select(*KEY, LABEL) if parts else pl.DataFrame()
    if found.is_empty():
        raise TrainingError(f"universe {universe.name!r}: no feature row belongs to it")
    return found


def training_frame(
    settings: Settings,
    version: FeatureVersion,
    labels: pl.DataFrame,
    features: Sequence[str],
    days: Days | None = None,
) -> tuple["pd.DataFrame", pl.DataFrame]:
    """Return the rows of a training in the form of a Qlib data handler, and :func:`training_rows`.

    Index (datetime, instrument), columns (``feature``, name) and (``label``, ``LABEL0``), float32.
    What is not finite is missing: XGBoost refuses it, and a network never recovers from it. Values
    go from the table into the frame's one matrix: nothing holds them a second time.

    Raises:
        TrainingError: there is no row.
    """
    keys = training_rows(settings, version, labels, days)
    values = np.empty((keys.height, len(features) + 1), dtype=np.float32, order="F")
    values[:, -1] = _finite(keys.get_column(LABEL))
    universe = load_universe(settings)

    def fill(year: Days, begin: int) -> None:
        table = version.training_frame(FrameSpec(features, *year))
        rows = pl.DataFrame(pl.from_arrow(table.select([*KEY]))).with_row_index(_PLACE)
        places = members(universe, rows).get_column(_PLACE).to_numpy()
        passed = 0
        for batch in table.to_batches():  # whose columns are NumPy's as they are
            own = places[np.searchsorted(places, passed) :]
            own = own[: np.searchsorted(own, passed + batch.num_rows)] - passed
            for number, name in enumerate(features):
                target = values[begin : begin + len(own), number]
                # Places are right: to check them numpy would copy the target.
                np.take(batch.column(name).to_numpy(), own, out=target, mode="clip")
                np.copyto(target, np.nan, where=~np.isfinite(target))
            passed, begin = passed + batch.num_rows, begin + len(own)

    years = list(_years(version, days))
    of_year = keys.get_column(DATE).dt.year()
    begins = [int(of_year.search_sorted(first.year)) for first, _ in years]
    with ThreadPoolExecutor(_READERS) as readers:
        for _ in readers.map(fill, years, begins):
            pass
    return _framed(values, keys, features), keys


def _years(version: FeatureVersion, days: Days | None) -> Iterator[Days]:
    """Yield the first and the last day of every year of the table, within the days."""
    first, last = days or (date.min, date.max)
    for year in sorted({int(month[:4]) for month in version.months}):
        if first.year <= year <= last.year:
            yield max(first, date(year, 1, 1)), min(last, date(year, 12, 31))


def _finite(column: pl.Series) -> NDArray[np.float32]:
    values = column.fill_null(float("nan")).to_numpy()
    return np.where(np.isfinite(values), values, np.float32(np.nan))


def _framed(
    values: NDArray[np.float32], keys: pl.DataFrame, features: Sequence[str]
) -> "pd.DataFrame":
    import pandas as pd

    columns = pd.MultiIndex.from_tuples([("feature", n) for n in features] + [("label", LABEL)])
    return pd.DataFrame(values, index=qlib_index(keys), columns=columns, copy=False)


def qlib_index(rows: pl.DataFrame) -> "pd.MultiIndex":
    """Return the (datetime, instrument) index of rows sorted by date and instrument."""
    import pandas as pd

    days, day = np.unique(
        rows.get_column(DATE).to_numpy().astype("datetime64[ns]"), return_inverse=True
    )
    codes = rows.get_column(INSTRUMENT).cast(pl.String)
    known = codes.unique().sort()
    levels: list[Any] = [pd.DatetimeIndex(days), np.asarray(known.to_list(), dtype=object)]
    places: list[Any] = [day, codes.cast(pl.Enum(known)).to_physical().to_numpy()]
    return pd.MultiIndex(levels, places, names=["datetime", "instrument"])


def qlib_dataset(
    frame: "pd.DataFrame", segments: Segments, processors: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Any:
    """Return the ``DatasetH`` over a frame.

    Args:
        frame: Of :func:`training_frame`.
        segments: First and last day of each.
        processors: Qlib's, ``infer`` and ``learn``. What is fitted is fitted on ``train`` only.
    """
    from qlib.data.dataset import DatasetH
    from qlib.utils import init_instance_by_config

    made = {
        stage: [
            init_instance_by_config(fitted_on(segments.train, one)) for one in processors[stage]
        ]
        for stage in ("infer", "learn")
    }
    return DatasetH(processed(frame, **made), segments=_qlib_segments(segments))


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
