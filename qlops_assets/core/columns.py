"""The columns of a bars frame and the words for them.

A bars frame has one row per (instrument, trading day), sorted by instrument and date. Prices are
adjusted (raw price × factor) and volume is divided by the factor, as Qlib expects. On a halted day
prices are null and volume is 0.
"""

from typing import Final

INSTRUMENT: Final = "instrument"
DATE: Final = "date"
KEY: Final = (INSTRUMENT, DATE)
PRICES: Final = ("open", "high", "low", "close")
REQUIRED: Final = (INSTRUMENT, DATE, *PRICES, "volume")
OPTIONAL: Final = ("vwap", "amount", "factor")
BARS: Final = (INSTRUMENT, DATE, *PRICES, "volume", "vwap", "factor")
# What an expression can read; ``change`` is computed from the closes.
FIELDS: Final = (*PRICES, "volume", "vwap", "factor", "change")
LABEL: Final = "LABEL0"
