"""Stored factors by name, whichever set holds them."""

from collections.abc import Collection, Iterable, Sequence

import polars as pl

from qlops_assets.core.columns import KEY
from qlops_assets.core.digests import combined_digest
from qlops_assets.core.errors import (
    DatasetMissingError,
    FactorError,
    LakeError,
    nearest,
)
from qlops_assets.core.settings import Settings
from qlops_assets.factors.alpha158_names import ALPHA158_NAMES
from qlops_assets.factors.custom import custom_factors
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
