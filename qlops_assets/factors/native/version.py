"""Which values the native engine gives."""

from typing import Final

# Part of the code version of every stored row: raise it whenever a value changes in any bit, and
# all rows are computed again.
ENGINE_VERSION: Final = 1
