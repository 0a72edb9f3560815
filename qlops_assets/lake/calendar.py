"""The trading days of a source: the days on which any instrument has a bar."""

from datetime import date

import polars as pl

from qlops_assets.core.columns import DATE
from qlops_assets.core.settings import Settings
from qlops_assets.lake.datasets import bars_dataset


def trading_days(settings: Settings) -> list[date]:
    """Return the trading days, in order.

    Raises:
        DatasetMissingError: there are no bars yet.
    """
    days = bars_dataset(settings).scan().select(pl.col(DATE).unique().sort()).collect()
    return days[DATE].to_list()
