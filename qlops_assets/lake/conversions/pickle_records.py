"""A pickle as inert records: nothing that it names is imported, made or called.

A pickle is a program: it names functions and has them called. Here every name of a short list
stands for a class of ours that only keeps what it is given; any other name ends the reading.
``pickle_frame`` then reads out of the records what pandas and NumPy would have built.
"""

import io
import pickle
import pickletools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from qlops_assets.core.errors import ConversionError

ACCEPTED: Final = (
    "accepted is the pickle of a pandas DataFrame, by (datetime, instrument) as Qlib's "
    "StaticDataLoader reads it; of a Qlib handler save the frame that its fetch() returns"
)
# What a pickled DataFrame is made of, by pandas 2 and NumPy 1 and 2, and what each name means.
_MEANINGS: Final[Mapping[str, str]] = {
    "_codecs.encode": "bytes",
    "builtins.slice": "slice",
    "__builtin__.slice": "slice",
    "datetime.timedelta": "timedelta",
    "datetime.timezone": "fixed zone",
    "numpy.core.multiarray._reconstruct": "array",
    "numpy._core.multiarray._reconstruct": "array",
    "numpy.core.numeric._frombuffer": "buffer",
    "numpy._core.numeric._frombuffer": "buffer",
    "numpy.dtype": "dtype",
    "numpy.ndarray": "ndarray",
    "pandas._libs.arrays.__pyx_unpickle_NDArrayBacked": "backed",
    "pandas._libs.internals._unpickle_block": "block",
    "pandas._libs.missing.NA": "missing",
    "pandas.core.arrays.categorical.Categorical": "categorical",
    "pandas.core.arrays.datetimes.DatetimeArray": "datetimes",
    "pandas.core.arrays.string_.StringArray": "texts",
    "pandas.core.arrays.string_.StringDtype": "text dtype",
    "pandas.core.dtypes.dtypes.CategoricalDtype": "categorical dtype",
    "pandas.core.dtypes.dtypes.DatetimeTZDtype": "zoned dtype",
    "pandas.core.frame.DataFrame": "frame",
    "pandas.core.indexes.base.Index": "index",
    "pandas.core.indexes.base._new_Index": "new index",
    "pandas.core.indexes.category.CategoricalIndex": "index",
    "pandas.core.indexes.datetimes.DatetimeIndex": "index",
    "pandas.core.indexes.datetimes._new_DatetimeIndex": "new index",
    "pandas.core.indexes.frozen.FrozenList": "list",
    "pandas.core.indexes.multi.MultiIndex": "multi index",
    "pandas.core.indexes.range.RangeIndex": "range index",
    "pandas.core.internals.managers.BlockManager": "blocks",
    "pytz._UTC": "utc",
    "pytz._p": "named zone",
}
_OFFSETS: Final = "pandas._libs.tslibs.offsets"  # an index's frequency, which is not looked at
_MEMO_PUTS: Final = frozenset(["PUT", "BINPUT", "LONG_BINPUT"])
_DAMAGED: Final = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    UnicodeDecodeError,
    ValueError,
)


class Record:
    """What a pickle says of one object: what it means, its arguments, its state."""

    meaning: ClassVar[str] = ""
    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> "Record":
        """Keep the arguments."""
        made = object.__new__(cls)
        made.args, made.state = args, None
        return made

    def __init__(self, *_: Any) -> None:
        """Do nothing: the arguments are kept."""

    def __setstate__(self, state: Any) -> None:
        self.state = state


def load_records(path: Path) -> Record:
    """Return the record of the DataFrame that a pickle holds.

    Raises:
        ConversionError: the pickle names anything else than what DataFrames are made of, is
            damaged, or holds something else.
    """
    try:
        content = path.read_bytes()
        _refuse_greed(content)
        found = _Records(io.BytesIO(content), path).load()
    except OSError as error:
        raise ConversionError(path, f"cannot be read ({error.strerror})", ACCEPTED) from error
    except _DAMAGED as error:
        found = f"is not a readable pickle ({type(error).__name__}: {error})"
        raise ConversionError(path, found, ACCEPTED) from error
    if not isinstance(found, Record) or found.meaning != "frame":
        kind = found.meaning if isinstance(found, Record) else type(found).__name__
        raise ConversionError(path, f"holds a {kind}, not a DataFrame", ACCEPTED)
    return found


def _refuse_greed(content: bytes) -> None:
    """Refuse a pickle whose few bytes ask for much memory: its lengths and memo places are false.

    Raises:
        ValueError: an argument is longer than the pickle, or a memo place is beyond its opcodes.
    """
    for number, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        if opcode.name in _MEMO_PUTS and isinstance(argument, int) and argument > number:
            raise ValueError(f"memo place {argument} at opcode {number}")


class _Records(pickle.Unpickler):
    """An unpickler to whom every name is a kind of record."""

    def __init__(self, file: Any, path: Path) -> None:
        super().__init__(file)
        self._path = path
        self._kinds: dict[str, type[Record]] = {}

    def find_class(self, module_name: str, global_name: str, /) -> type[Record]:
        """Return the kind of record for a name; refuse a name that no DataFrame needs."""
        name = f"{module_name}.{global_name}"
        is_offset = module_name == _OFFSETS and global_name.isidentifier()
        meaning = "offset" if is_offset else _MEANINGS.get(name)
        if meaning is None:
            found = f"it names {name}, which is not what a DataFrame is made of; it was not run"
            raise ConversionError(self._path, found, ACCEPTED)
        # A class of its own per reading: whatever a pickle does to it ends with the reading.
        made = type(meaning, (Record,), {"meaning": meaning})
        return self._kinds.setdefault(name, made)
