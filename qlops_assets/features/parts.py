"""The sets of rows that the feature table is made of, and a month of them side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import polars as pl

from qlops_assets.core.columns import DATE, KEY
from qlops_assets.core.errors import FeatureTableError
from qlops_assets.core.settings import Settings
from qlops_assets.factors.sets import ALPHA158, CUSTOM
from qlops_assets.factors.sets import ROWS as FACTOR_ROWS
from qlops_assets.factors.store import factor_dataset
from qlops_assets.indicators.store import INDICATORS, indicator_dataset
from qlops_assets.indicators.store import ROWS as INDICATOR_ROWS
from qlops_assets.lake.datasets import MonthlyDataset, PartitionInfo, is_ascending

# Set -> what its rows are called, in the order of the table's columns.
PART_ROWS: Final = {**FACTOR_ROWS, INDICATORS: INDICATOR_ROWS}


@dataclass(frozen=True, slots=True)
class PartState:
    """What a set's rows of a month are.

    Attributes:
        digest: Of the rows.
        code: What they were computed with.
    """

    digest: str
    code: str


def part_datasets(settings: Settings) -> dict[str, MonthlyDataset]:
    """Return the dataset of every set, in the order of the table's columns."""
    return {
        ALPHA158: factor_dataset(settings, ALPHA158),
        CUSTOM: factor_dataset(settings, CUSTOM),
        INDICATORS: indicator_dataset(settings),
    }


@dataclass(frozen=True, slots=True)
class MonthRows:
    """A month's rows of all sets side by side.

    Attributes:
        frame: Keys and values, in order of the keys; null or NaN where there is no value.
        ends: Set -> its last day.
    """

    frame: pl.DataFrame
    ends: Mapping[str, date]


@dataclass(frozen=True, slots=True)
class StoredParts:
    """What every set holds now, by its footers.

    Attributes:
        months: Month -> set -> state, of months with rows of any set.
        definitions: Code -> what columns that a user defines are computed by.
    """

    months: Mapping[str, Mapping[str, PartState]]
    definitions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, datasets: Mapping[str, MonthlyDataset]) -> "StoredParts":
        """Read the footers of all months.

        Raises:
            CorruptPartitionError: a month's file is damaged.
        """
        months: dict[str, dict[str, PartState]] = {}
        definitions: dict[str, Mapping[str, str]] = {}
        for part, dataset in datasets.items():
            for month, info in dataset.infos().items():
                months.setdefault(month, {})[part] = _state(info)
                if info.expressions:
                    definitions[info.code] = info.expressions
        return cls({month: months[month] for month in sorted(months)}, definitions)


def _state(info: PartitionInfo) -> PartState:
    return PartState(info.digest, info.code)


def month_rows(datasets: Mapping[str, MonthlyDataset], month: str) -> MonthRows:
    """Return a month's rows of all sets side by side; a row is there where any set has one.

    Raises:
        FeatureTableError: two sets have a column of one name, a key is missing or there twice.
        CorruptPartitionError: a month's file is damaged.
    """
    frames = {
        part: dataset.read([month])
        for part, dataset in datasets.items()
        if month in dataset.months()
    }
    _require_apart(month, {part: frame.columns for part, frame in frames.items()})
    for part, frame in frames.items():
        _require_keys(month, datasets[part].name, frame)
    joined: pl.DataFrame | None = None
    for frame in frames.values():
        joined = frame if joined is None else _beside(joined, frame)
    if joined is None or joined.is_empty():
        raise FeatureTableError(f"feature_table: no set has rows of {month}")
    ends = {part: _last_day(frame) for part, frame in frames.items() if frame.height}
    return MonthRows(joined if is_ascending(joined) else joined.sort(KEY), ends)


def _last_day(frame: pl.DataFrame) -> date:
    day = frame.get_column(DATE).max()
    if not isinstance(day, date):
        raise FeatureTableError(f"feature_table: {frame.height} rows have no date")
    return day


def _beside(one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    if one.select(KEY).equals(other.select(KEY)):
        return one.hstack(other.drop(KEY))
    return one.join(other, on=KEY, how="full", coalesce=True)


def _require_apart(month: str, columns: Mapping[str, Sequence[str]]) -> None:
    owners: dict[str, str] = {}
    for part, names in columns.items():
        for name in names:
            if name in KEY:
                continue
            if name in owners:
                raise FeatureTableError(
                    f"feature_table: {month} has {name!r} in {owners[name]} and in {part}; "
                    "give one of them another name"
                )
            owners[name] = part


def _require_keys(month: str, name: str, frame: pl.DataFrame) -> None:
    if is_ascending(frame):
        return
    missing = frame.filter(pl.any_horizontal(pl.col(KEY).is_null())).height
    if missing:
        raise FeatureTableError(
            f"feature_table: {missing} rows of {name} in {month} have no date or no instrument; "
            f"every row needs both: materialize {name} of {month} again"
        )
    repeated = frame.height - frame.select(KEY).n_unique()
    if repeated:
        raise FeatureTableError(
            f"feature_table: {repeated} rows of {name} in {month} have the key of another; "
            f"(date, instrument) must be unique: materialize {name} of {month} again"
        )
