"""How many rows have no value of an indicator, as the footers of the stored months say."""

from collections.abc import Iterable

import pyarrow.parquet as pq

from qlops_assets.core.columns import KEY
from qlops_assets.core.settings import Settings
from qlops_assets.factors.missing import FactorReport
from qlops_assets.indicators.store import indicator_dataset
from qlops_assets.lake.datasets import PartitionInfo


def stored_reports(settings: Settings, months: Iterable[str]) -> dict[str, FactorReport]:
    """Return for each of the months with rows how many have no value of each indicator.

    Raises:
        CorruptPartitionError: a month's file is damaged.
    """
    dataset = indicator_dataset(settings)
    found = {month: dataset.info(month) for month in months}
    return {
        month: FactorReport(info, _missing(info))
        for month, info in found.items()
        if info is not None
    }


def _missing(info: PartitionInfo) -> dict[str, int]:
    footer, counts = pq.read_metadata(info.path), dict[str, int]()
    for place in range(footer.num_row_groups):
        group = footer.row_group(place)
        for number in range(group.num_columns):
            column = group.column(number)
            name = column.path_in_schema
            if name not in KEY:
                counts[name] = counts.get(name, 0) + int(column.statistics.null_count)
    return counts
