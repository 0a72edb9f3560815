"""The signal, in a form that a simulation of many days asks quickly."""

from typing import Any


def by_day(signal: Any) -> Any:
    """Return a signal of Qlib's whose scores are cut into days beforehand.

    Args:
        signal: ``SignalWCache`` of one score by (datetime, instrument); any other comes back as it
            is.
    """
    import numpy as np
    import pandas as pd
    from qlib.backtest.signal import Signal, SignalWCache

    scores = getattr(signal, "signal_cache", None)
    if type(signal) is not SignalWCache or not isinstance(scores, pd.Series):
        return signal
    scores = scores.sort_index()
    starts = scores.index.get_level_values("datetime").to_numpy()
    days, begins = np.unique(starts, return_index=True)
    ends = [*begins[1:], len(scores)]
    own = scores.droplevel("datetime")

    class DaySignal(Signal):  # type: ignore[misc]
        def get_signal(self, start_time: Any, end_time: Any) -> Any:
            first = int(np.searchsorted(days, start_time.to_datetime64(), side="left"))
            last = int(np.searchsorted(days, end_time.to_datetime64(), side="right"))
            if last <= first:
                return None
            if last > first + 1:  # the newest score of each
                return signal.get_signal(start_time, end_time)
            return own.iloc[begins[first] : ends[first]]

    return DaySignal()
