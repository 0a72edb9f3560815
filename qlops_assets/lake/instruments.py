"""One way to write an instrument's code, which Qlib's files can hold.

Qlib writes Chinese codes ``SH600000``, keeps one lower-case folder per code, and reads its lists of
instruments with pandas, which takes ``NA`` and ``NULL`` for missing. Windows reserves some names.
"""

import re
from collections.abc import Iterable
from typing import Final

_PREFIXED: Final = re.compile(r"(SH|SZ|BJ)[.]?(\d{6})")
_SUFFIXED: Final = re.compile(r"(\d{6})[.](SH|SS|SZ|BJ|XSHG|XSHE)")
_EXCHANGES: Final = {"SS": "SH", "XSHG": "SH", "XSHE": "SZ"}
_DEVICES: Final = frozenset(
    ["CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(10))]
)
_MISSING: Final = frozenset(
    ["NA", "NULL", "NAN", "NONE", "#NA", "<NA>", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"]
)
_RESERVED: Final = _DEVICES | _MISSING | {".", ".."}
_IMPOSSIBLE: Final = re.compile(r"[/\\\x00-\x1f\x7f]")
_LONGEST: Final = 100


def canonical(code: str) -> str:
    """Return a code as Qlib writes it.

    ``600000.SH``, ``sh.600000``, ``sh600000`` and ``600000.XSHG`` become ``SH600000``; every other
    code is stripped and upper-cased; a reserved word gets a trailing underscore (``NA_``).

    Raises:
        ValueError: the code is empty, too long, or holds a slash or a control character.
    """
    upper = code.strip().upper()
    if not upper:
        raise ValueError("an empty code")
    if _IMPOSSIBLE.search(upper) or len(upper) > _LONGEST:
        raise ValueError(
            f"code {code[:_LONGEST]!r}, which cannot name a file; a code has at most {_LONGEST} "
            "characters and no slash or control character"
        )
    if match := _PREFIXED.fullmatch(upper):
        return match[1] + match[2]
    if match := _SUFFIXED.fullmatch(upper):
        return _EXCHANGES.get(match[2], match[2]) + match[1]
    return f"{upper}_" if upper in _RESERVED else upper


def canonical_codes(codes: Iterable[str]) -> dict[str, str]:
    """Return each code -> the code as Qlib writes it.

    Raises:
        ValueError: a code is impossible, or two different ones mean the same instrument, which
            would share one folder (``brka`` and ``BRKA``).
    """
    found: dict[str, str] = {}
    taken: dict[str, str] = {}
    for code in sorted(set(codes)):
        ours = canonical(code)
        other = taken.setdefault(folder_name(ours), code)
        if other != code:
            raise ValueError(f"codes {other!r} and {code!r}, which both mean {ours}")
        found[code] = ours
    return found


def folder_name(code: str) -> str:
    """Return the folder of a code below ``features``, where Qlib looks for it.

    Source: ``qlib.utils.code_to_fname`` (Windows keeps some names for its devices) and
    ``FileFeatureStorage``, which lower-cases.
    """
    return (f"_qlib_{code}" if code.upper() in _DEVICES else code).lower()
