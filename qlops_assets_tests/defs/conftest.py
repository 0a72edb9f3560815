from collections.abc import Iterator
from pathlib import Path

import pytest

from qlops_assets_tests.support.dagster_bench import Bench, months


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty home over two files of 2019: the first quarter and the second."""
    bench = Bench(tmp_path)
    bench.write("2019-q1.parquet", months("2019-01", "2019-03"))
    bench.write("2019-q2.parquet", months("2019-04", "2019-06"))
    return bench


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A home whose bars of half a year were materialized in one run; tests only read it."""
    bench = Bench(tmp_path_factory.mktemp("built"))
    bench.write("2019.parquet", months("2019-01", "2019-06"))
    bench.tick()  # the first scan: the partitions begin with the first month of the data
    bench.run("refresh_bars", "2019-01", "2019-06")
    yield bench
    bench.instance.dispose()
