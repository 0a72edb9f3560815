"""The words in which a page calls columns and rules."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ic": "IC",
        "rank_ic": "Rank IC",
        "train_valid_gap": "train ahead of valid",
        "valid_worsening": "valid getting worse",
        "rank_ic_decay": "Rank IC lost on test",
        "deflated_sharpe": "deflated Sharpe ratio",
    }
)


def in_words(name: str) -> str:
    """Return what a page calls a column or a rule: its words, unless they are others."""
    return _WORDS.get(name, name.replace("_", " "))
