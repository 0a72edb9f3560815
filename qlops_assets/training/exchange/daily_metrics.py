"""Qlib's metrics of a portfolio by day, with the benchmark's return looked up."""

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@cache
def daily_metrics() -> type:
    """Return Qlib's metrics, for ``portfolio_metrics`` of an account."""
    from qlib.backtest.report import PortfolioMetrics

    class DailyMetrics(PortfolioMetrics):  # type: ignore[misc]
        def init_bench(self, freq: Any = None, benchmark_config: Any = None) -> None:
            """Take the benchmark as Qlib does, and know its return of every day."""
            super().init_bench(freq, benchmark_config)
            self._days, self._returns = _returns_by_day(self.bench)

        def _sample_benchmark(self, bench: Any, trade_start_time: Any, trade_end_time: Any) -> Any:
            """Return the benchmark's return in a window.

            Qlib's cuts the window out of the series and multiplies what is in it, which of one day
            is that day's return. A window with another number of days is left to it.
            """
            if bench is not self.bench:
                return super()._sample_benchmark(bench, trade_start_time, trade_end_time)
            first, last = trade_start_time.to_datetime64(), trade_end_time.to_datetime64()
            place = int(np.searchsorted(self._days, first, side="left"))
            if int(np.searchsorted(self._days, last, side="right")) != place + 1:
                return super()._sample_benchmark(bench, trade_start_time, trade_end_time)
            return self._returns[place]

    return DailyMetrics


def _returns_by_day(bench: "pd.Series[float] | None") -> tuple[Any, Any]:
    """Return the days of a benchmark, and what Qlib makes of a window of each; none if unsorted."""
    if bench is None or not bench.index.is_monotonic_increasing or bench.dtype != np.float64:
        return np.array([], dtype="datetime64[ns]"), np.array([])
    # As Qlib does, for which a missing return is a factor of 1.
    growth = bench.to_numpy() + 1
    return bench.index.to_numpy(), np.where(np.isnan(growth), 1.0, growth) - 1
