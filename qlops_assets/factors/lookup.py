"""Factor rows of one day, as the model server asks for them."""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache

import numpy as np
import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT
from qlops_assets.core.errors import DatasetMissingError, FactorError
from qlops_assets.core.months import month_of
from qlops_assets.core.prediction import FeatureRows
from qlops_assets.core.settings import Settings
from qlops_assets.factors.store import alpha158_dataset


class StoredFactors:
    """The ``FeatureLookup`` over the stored Alpha158 rows; keeps the last few days in memory."""

    def __init__(self, settings: Settings) -> None:
        self._dataset = alpha158_dataset(settings)
        # By digest, so that a month that is written again is read again.
        self._day = lru_cache(maxsize=8)(self._read_day)
        self._newest = lru_cache(maxsize=2)(self._read_newest)

    def rows(
        self, day: date, features: Sequence[str], instruments: Sequence[str] | None = None
    ) -> FeatureRows:
        """Return a day's rows, in the order asked for; all instruments by code where None.

        An instrument without a row that day is left out.

        Raises:
            DatasetMissingError: there are no rows for that day.
            FactorError: a feature is not stored.
        """
        info = self._dataset.info(month_of(day))
        frame = self._day(day, info.digest) if info else pl.DataFrame()
        if frame.is_empty():
            last = self.last_date()
            raise DatasetMissingError(
                "alpha158_factors", [str(day)], f"the newest day with rows is {last or 'none'}"
            )
        unknown = [name for name in features if name not in frame.columns]
        if unknown:
            raise FactorError(f"feature {unknown[0]!r} is not stored in {self._dataset.name}")
        if instruments is not None:
            wanted = pl.DataFrame({INSTRUMENT: list(instruments)}, schema={INSTRUMENT: pl.String})
            frame = wanted.join(frame, on=INSTRUMENT, how="inner", maintain_order="left")
        values = np.ascontiguousarray(frame.select(features).to_numpy(), dtype=np.float32)
        return FeatureRows(day, frame.get_column(INSTRUMENT).to_list(), values)

    def last_date(self) -> date | None:
        """Return the newest day that has rows, or None where there is none."""
        months = self._dataset.months()
        if not months:
            return None
        info = self._dataset.info(months[-1])
        return self._newest(months[-1], info.digest) if info else None

    def _read_newest(self, month: str, _digest: str) -> date | None:
        newest = self._dataset.read([month], columns=[DATE]).get_column(DATE).max()
        return newest if isinstance(newest, date) else None

    def _read_day(self, day: date, _digest: str) -> pl.DataFrame:
        return self._dataset.read([month_of(day)], first=day, last=day)
