"""The other way: names of indicators written from their parameters."""

from qlops_assets.indicators.families.indicator import Indicator, Number, Parameters


def number_word(value: Number) -> str:
    """Return a number as names write it: ``2``, ``0p02``."""
    return f"{value:.9f}".rstrip("0").rstrip(".").replace(".", "p")  # the most digits a name has


def full_name(family: Indicator, parameters: Parameters, output: str = "") -> str:
    """Return the name that gives every parameter."""
    words = [family.name, *(number_word(parameters[name]) for name in family.parameters), output]
    return "_".join(word for word in words if word)
