"""Stored factors by name, whichever set holds them: a month's rows, and a day's for the server."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache

import numpy as np
import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT, KEY
from qlops_assets.core.digests import combined_digest
from qlops_assets.core.errors import (
    DatasetMissingError,
    FactorError,
    FeatureDefinitionError,
    LakeError,
    nearest,
)
from qlops_assets.core.months import month_of
from qlops_assets.core.prediction import FeatureRows
from qlops_assets.core.settings import Settings
from qlops_assets.factors.alpha158_names import ALPHA158_NAMES
from qlops_assets.factors.custom import custom_factors
from qlops_assets.factors.grammar.parser import parse
from qlops_assets.factors.grammar.render import render
from qlops_assets.factors.sets import ALPHA158, CUSTOM, custom_set
from qlops_assets.factors.store import factor_dataset
from qlops_assets.lake.datasets import MonthlyDataset

_ALPHA158 = frozenset(ALPHA158_NAMES)


def known_factors(settings: Settings) -> dict[str, list[str]]:
    """Return the names of the factors that are defined, by set.

    Raises:
        CustomFactorError: a factor of the user's own cannot be used.
        SettingsError: the file that keeps them is damaged.
    """
    return {ALPHA158: list(ALPHA158_NAMES), CUSTOM: list(custom_factors(settings))}


def by_set(names: Iterable[str]) -> dict[str, list[str]]:
    """Return names by the set whose rows would hold them; no set without a name."""
    parts: dict[str, list[str]] = {}
    for name in names:
        parts.setdefault(ALPHA158 if name in _ALPHA158 else CUSTOM, []).append(name)
    return {name: parts[name] for name in (ALPHA158, CUSTOM) if name in parts}


class FactorTable:
    """The stored rows of some factors, in the order in which they are named.

    Rows of two sets are joined month by month: memory is that of a month.
    """

    def __init__(self, settings: Settings, names: Sequence[str]) -> None:
        """Name the factors.

        Raises:
            FactorError: none is named, or one that is not defined.
        """
        self.names, self._settings = list(names), settings
        known = known_factors(settings)
        _require_known(self.names, [*known[ALPHA158], *known[CUSTOM]])
        self._parts = by_set(self.names)
        self._datasets = {part: factor_dataset(settings, part) for part in self._parts}

    def months(self) -> list[str]:
        """Return the months that have rows, in order."""
        return sorted({month for dataset in self._datasets.values() for month in dataset.months()})

    def require_stored(self) -> None:
        """Refuse factors whose rows are not there, or are those of another definition.

        Raises:
            DatasetMissingError: a set has no rows, or not those of every month.
            FactorError: rows of the user's own factors are not those of their present definitions.
        """
        months = self.months()
        for dataset in self._datasets.values():
            missing = sorted(set(months) - set(dataset.months()))
            if missing or not months:
                raise DatasetMissingError(
                    dataset.name, missing, f"materialize {dataset.name} first"
                )
        if CUSTOM in self._datasets:
            code = custom_set(self._settings).code_version(self._settings)
            _require_made_by(code, self._datasets[CUSTOM])

    def row_digests(self) -> dict[str, str]:
        """Return the digest of all rows of each set that holds one of the factors."""
        return {
            part: combined_digest(info.digest for info in dataset.infos().values())
            for part, dataset in self._datasets.items()
        }

    def code_versions(self) -> dict[str, str]:
        """Return what the rows of each set were computed with; several where months differ."""
        return {
            part: ", ".join(sorted({info.code for info in dataset.infos().values()}))
            for part, dataset in self._datasets.items()
        }

    def read(self, month: str, *, columns: Collection[str] | None = None) -> pl.DataFrame:
        """Return a month's rows by instrument and date: the key, and the factors.

        Args:
            month: Such as ``2020-01``.
            columns: Only these of the factors; the key alone where empty.

        Raises:
            DatasetMissingError: a set has no rows of that month.
            LakeError: the sets have different rows, or a factor is not among them.
        """
        wanted = [name for name in self.names if columns is None or name in columns]
        parts = by_set(wanted) or {next(iter(self._parts)): []}
        frames = [
            self._datasets[part].read([month], columns=names) for part, names in parts.items()
        ]
        if len(frames) == 1:
            return frames[0]
        first, second = frames
        joined = first.join(second, on=KEY, how="inner", maintain_order="left")
        if not joined.height == first.height == second.height:
            raise LakeError(
                f"{month}: alpha158_factors has {first.height} rows, custom_factors has "
                f"{second.height}, and they share {joined.height}; materialize both of this month"
            )
        return joined.select(*KEY, *wanted)


def _require_known(names: Sequence[str], known: list[str]) -> None:
    if not names:
        raise FactorError("no factor was named; name at least one")
    for name in names:
        if name not in known:
            raise FactorError(
                f"unknown factor {name!r}{nearest(name, known)} "
                "`qlops factor list` shows those that there are"
            )


def _require_made_by(code: str, dataset: MonthlyDataset) -> None:
    others = [month for month, info in dataset.infos().items() if info.code != code]
    if others:
        raise FactorError(
            f"{dataset.name}: {len(others)} months, the first {others[0]}, are of other "
            f"definitions than the present ones, or of another engine; materialize {dataset.name} "
            "first"
        )


def _is_same(one: str | None, other: str) -> bool:
    """Return whether two texts are of one expression, however they are spaced."""
    return one == other or (one is not None and render(parse(one)) == render(parse(other)))


class StoredFactors:
    """The ``FeatureLookup`` over the stored rows of all sets; keeps the last days in memory."""

    def __init__(self, settings: Settings) -> None:
        self._datasets = {part: factor_dataset(settings, part) for part in (ALPHA158, CUSTOM)}
        # By digests, so that a month that is written again is read again.
        self._day = lru_cache(maxsize=8)(self._read_day)
        self._newest = lru_cache(maxsize=4)(self._read_newest)

    def rows(
        self,
        day: date,
        features: Sequence[str],
        instruments: Sequence[str] | None = None,
        *,
        expressions: Mapping[str, str] | None = None,
    ) -> FeatureRows:
        """Return a day's rows, in the order asked for; all instruments by code where None.

        An instrument without a row that day is left out.

        Args:
            day: The day.
            features: Names of factors.
            instruments: Only these.
            expressions: What factors of the user's own must have been computed by.

        Raises:
            DatasetMissingError: there are no rows for that day.
            FeatureDefinitionError: a factor was computed by another expression.
            FactorError: a feature is not stored.
        """
        parts = by_set(features) or {ALPHA158: []}
        digests = tuple((part, self._digest(part, day)) for part in parts)
        if (CUSTOM, "") in digests and not self._datasets[CUSTOM].months():
            raise self._unknown(parts[CUSTOM][0])
        frame = self._day(day, digests)
        for name in features:
            if name not in frame.columns:
                raise self._unknown(name)
        expected = {n: expressions[n] for n in features if n in expressions} if expressions else {}
        if expected and not self._are_of(day, expected, dict(digests)[CUSTOM]):
            return self.rows(day, features, instruments, expressions=expressions)
        if instruments is not None:
            wanted = pl.DataFrame({INSTRUMENT: list(instruments)}, schema={INSTRUMENT: pl.String})
            frame = wanted.join(frame, on=INSTRUMENT, how="inner", maintain_order="left")
        values = np.ascontiguousarray(frame.select(features).to_numpy(), dtype=np.float32)
        return FeatureRows(day, frame.get_column(INSTRUMENT).to_list(), values)

    def last_date(self) -> date | None:
        """Return the newest day that has rows, of Alpha158 where there are any of it, or None."""
        return self._last_date(ALPHA158) or self._last_date(CUSTOM)

    def _last_date(self, part: str) -> date | None:
        months = self._datasets[part].months()
        if not months:
            return None
        info = self._datasets[part].info(months[-1])
        return self._newest(part, months[-1], info.digest) if info else None

    def _are_of(self, day: date, expected: Mapping[str, str], digest: str) -> bool:
        """Require expressions of the rows of a day; False where those were replaced meanwhile."""
        month = month_of(day)
        info = self._datasets[CUSTOM].info(month)
        if info is None or info.digest != digest:
            return False
        for name, expression in expected.items():
            stored = info.expressions.get(name)
            if not _is_same(stored, expression):
                raise FeatureDefinitionError(name, month, stored, expression)
        return True

    def _unknown(self, name: str) -> FactorError:
        (part,) = by_set([name])
        return FactorError(f"feature {name!r} is not stored in {self._datasets[part].name}")

    def _digest(self, part: str, day: date) -> str:
        info = self._datasets[part].info(month_of(day))
        return info.digest if info else ""

    def _read_newest(self, part: str, month: str, _digest: str) -> date | None:
        newest = self._datasets[part].read([month], columns=[DATE]).get_column(DATE).max()
        return newest if isinstance(newest, date) else None

    def _read_day(self, day: date, parts: tuple[tuple[str, str], ...]) -> pl.DataFrame:
        frames = [self._of_day(part, day, is_stored=bool(digest)) for part, digest in parts]
        joined = frames[0]
        for frame in frames[1:]:
            joined = joined.join(
                frame.drop(DATE), on=INSTRUMENT, how="inner", maintain_order="left"
            )
        return joined

    def _of_day(self, part: str, day: date, *, is_stored: bool) -> pl.DataFrame:
        """Return a set's rows of a day.

        Raises:
            DatasetMissingError: there are none.
        """
        dataset = self._datasets[part]
        rows = dataset.read([month_of(day)], first=day, last=day) if is_stored else pl.DataFrame()
        if rows.is_empty():
            last = self._last_date(part)
            raise DatasetMissingError(
                dataset.name, [str(day)], f"the newest day with rows is {last or 'none'}"
            )
        return rows
