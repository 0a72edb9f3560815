"""The names of Alpha158's factors and how far they look back, for those who need no more.

Their definitions are Qlib's own (``alpha158.py``). Tests prove that the names and the look-back
said here are those of the definitions.
"""

from typing import Final

_WINDOWS: Final = (5, 10, 20, 30, 60)
_OF_BARS: Final = ("KMID", "KLEN", "KMID2", "KUP", "KUP2", "KLOW", "KLOW2", "KSFT", "KSFT2")
_OF_PRICES: Final = ("OPEN0", "HIGH0", "LOW0", "VWAP0")
_OF_WINDOWS: Final = (
    *("ROC", "MA", "STD", "BETA", "RSQR", "RESI", "MAX", "MIN", "QTLU", "QTLD", "RANK", "RSV"),
    *("IMAX", "IMIN", "IMXD", "CORR", "CORD", "CNTP", "CNTN", "CNTD", "SUMP", "SUMN", "SUMD"),
    *("VMA", "VSTD", "WVMA", "VSUMP", "VSUMN", "VSUMD"),
)

ALPHA158_NAMES: Final = (
    *_OF_BARS,
    *_OF_PRICES,
    *(f"{name}{days}" for name in _OF_WINDOWS for days in _WINDOWS),
)

# Trading days: the return over the longest window, ROC60.
ALPHA158_LOOK_BACK_DAYS: Final = max(_WINDOWS)
