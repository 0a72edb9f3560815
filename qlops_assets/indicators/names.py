"""Names of indicator columns: ``rsi_14``, ``macd_signal``, ``bbands_20_2p5_upper``. Light.

A name is that of a family, then the parameters that differ from the defaults with all before
them, then the output; ``p`` is the point of a decimal.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from qlops_assets.core.errors import IndicatorError, nearest
from qlops_assets.indicators.families.catalog import INDICATORS
from qlops_assets.indicators.families.indicator import MOST, Indicator, Number

DEFAULT_NAMES: Final[tuple[str, ...]] = tuple(
    name for indicator in INDICATORS.values() for name in indicator.variants
)

_NUMBER: Final = re.compile(r"(?:0|[1-9]\d{0,8})(?:p\d{1,9})?", re.ASCII)
_FAMILIES: Final = sorted(INDICATORS, key=len, reverse=True)
KNOWN: Final[tuple[str, ...]] = tuple(
    dict.fromkeys((*DEFAULT_NAMES, *(name for one in INDICATORS.values() for name in one.columns)))
)


@dataclass(frozen=True, slots=True)
class Column:
    """What a name stands for.

    Attributes:
        name: As it was written.
        indicator: The family.
        values: Of the parameters, in their order.
        output: Suffix of the output.
    """

    name: str
    indicator: Indicator
    values: tuple[Number, ...]
    output: str

    @property
    def parameters(self) -> dict[str, Number]:
        """The parameters by name."""
        return dict(zip(self.indicator.parameters, self.values, strict=True))

    @property
    def warm_up(self) -> int:
        """Bars of an instrument before its first value."""
        return self.indicator.warm_up(self.parameters, self.output)

    @property
    def look_back(self) -> int | None:
        """Bars before its own that a value depends on; None for the whole history."""
        return self.indicator.look_back(self.parameters, self.output)


@lru_cache(maxsize=1024)
def column(name: str) -> Column:
    """Return what the name of an indicator stands for.

    Raises:
        IndicatorError: it is none, or a parameter is out of range.
    """
    family = next((f for f in _FAMILIES if name == f or name.startswith(f"{f}_")), None)
    if family is None:
        raise _unknown(name)
    indicator = INDICATORS[family]
    words = name[len(family) + 1 :].split("_") if name != family else []
    count = 0
    while count < len(words) and _NUMBER.fullmatch(words[count]):
        count += 1
    output = "_".join(words[count:])
    known = output in indicator.outputs and not name.endswith("_")
    if not known or count > len(indicator.parameters):
        raise _unknown(name, indicator)
    return Column(name, indicator, _values(name, indicator, words[:count]), output)


def columns(names: Sequence[str]) -> list[Column]:
    """Return what names stand for.

    Raises:
        IndicatorError: one is no indicator's, or is there twice.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise IndicatorError(f"indicator {name!r}", "is named twice", "name it once")
        seen.add(name)
    return [column(name) for name in names]


def is_indicator(name: str) -> bool:
    """Return whether a name is that of an indicator of ours."""
    try:
        column(name)
    except IndicatorError:
        return False
    return True


def _values(name: str, indicator: Indicator, words: Sequence[str]) -> tuple[Number, ...]:
    values = dict(indicator.parameters)
    for (parameter, default), word in zip(indicator.parameters.items(), words, strict=False):
        values[parameter] = _value(name, indicator, parameter, default, word)
    fault = indicator.fault(values)
    if fault:
        raise IndicatorError(f"indicator {name!r}", fault, f"{described(indicator)}")
    return tuple(values.values())


def _value(name: str, indicator: Indicator, parameter: str, default: Number, word: str) -> Number:
    whole = isinstance(default, int)
    value = int(word) if whole and "p" not in word else float(word.replace("p", "."))
    least = indicator.least_of(parameter)
    if (whole and not isinstance(value, int)) or not least <= value <= MOST:
        kind = "a whole number" if whole else "a number (0p02 is 0.02)"
        raise IndicatorError(
            f"indicator {name!r}",
            f"its {parameter} is {value}",
            f"must be {kind} from {least} to {MOST:,}",
        )
    return value


def described(indicator: Indicator) -> str:
    """Return how the names of a family are written, with the defaults as an example."""
    parts = [indicator.name, *(f"[{name}]" for name in indicator.parameters)]
    outputs = [suffix for suffix in indicator.outputs if suffix]
    if outputs:
        parts.append("|".join(outputs) if "" not in indicator.outputs else f"[{'|'.join(outputs)}]")
    defaults = ", ".join(f"{name} {value:g}" for name, value in indicator.parameters.items())
    return f"written {'_'.join(parts)}" + (f"; defaults: {defaults}" if defaults else "")


def _unknown(name: str, indicator: Indicator | None = None) -> IndicatorError:
    hint = nearest(name, KNOWN).removeprefix("; ")
    if indicator is not None:
        accepted = " ".join(filter(None, (hint, f"{indicator.name} is {described(indicator)}")))
    else:
        accepted = hint or f"the indicators are {', '.join(INDICATORS)}"
    return IndicatorError(f"indicator {name[:80]!r}", "is unknown", accepted)
