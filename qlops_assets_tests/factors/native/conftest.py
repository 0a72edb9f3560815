import polars as pl
import pytest

from qlops_assets_tests.support.market import weekdays
from qlops_assets_tests.support.odd_bars import DAYS, odd_bars


@pytest.fixture(scope="session")
def odd() -> pl.DataFrame:
    """Bars with every oddity. Not to be changed."""
    return odd_bars(days=weekdays(DAYS[0], 80))
