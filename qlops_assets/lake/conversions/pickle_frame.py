"""A DataFrame's arrays and labels, read out of the inert records of its pickle.

Every array is made here, of a known element type, from bytes whose number is checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qlops_assets.lake.conversions.pickle_records import Record

_ELEMENTS: Final = frozenset(
    ["b1", "O", "O8", "M8", "f2", "f4", "f8"]
    + [f"{kind}{n}" for kind in "iu" for n in (1, 2, 4, 8)]
)
_UNITS: Final = frozenset(["D", "s", "ms", "us", "ns"])
_DIMENSIONS: Final = 2
_MOST_COLUMNS: Final = 1_000_000

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Level:
    """One level of an index, or one column.

    Attributes:
        name: Its label, None where it has none.
        values: Its distinct values, or one per row.
        codes: Place of each row's value, -1 where missing; None where ``values`` is per row.
        zone: Time zone of instants, which are then in UTC.
    """

    name: Any
    values: Array
    codes: Array | None = None
    zone: str | None = None

    @property
    def height(self) -> int:
        """Number of rows."""
        return len(self.values if self.codes is None else self.codes)


@dataclass(frozen=True, slots=True)
class PlainFrame:
    """Index levels and columns of a DataFrame."""

    levels: list[Level]
    columns: list[Level]


def frame_of(record: Record) -> PlainFrame:
    """Return the parts of a DataFrame.

    Raises:
        ValueError: its layout is not one that pandas 2 writes, or its sizes disagree.
    """
    state = record.state if isinstance(record.state, dict) else {}
    blocks, axes = _of(state.get("_mgr"), "blocks").args
    labels, levels = _labels(axes[0]), _levels(axes[1])
    height = levels[0].height
    if any(level.height != height for level in levels):
        raise ValueError("index levels of different lengths")
    found: dict[int, Level] = {}
    for block in blocks:
        values, placement, *_ = _of(block, "block").args
        columns = _columns(values)
        places = _places(placement, len(labels))
        if len(columns) != len(places) or any(column.height != height for column in columns):
            raise ValueError(f"a block that is not of {len(places)} columns and {height} rows")
        for place, column in zip(places, columns, strict=True):
            found[place] = replace(column, name=labels[place])
    if len(found) != len(labels):
        raise ValueError(f"{len(labels)} labels and {len(found)} columns")
    return PlainFrame(levels, [found[place] for place in range(len(labels))])


def _columns(values: Any) -> list[Level]:
    if isinstance(values, Record) and values.meaning == "backed":
        level = _level(values, None)
        if level.codes is not None:
            return [level]
    table, zone = _values(values)
    rows = table.reshape(1, -1) if table.ndim == 1 else table
    return [Level(None, row, zone=zone) for row in rows]


def _of(value: Any, *meanings: str) -> Record:
    if isinstance(value, Record) and value.meaning in meanings:
        return value
    kind = value.meaning if isinstance(value, Record) else type(value).__name__
    raise ValueError(f"found {kind} in the place of {' or '.join(meanings)}")


def _places(placement: Any, count: int) -> list[int]:
    if isinstance(placement, Record) and placement.meaning == "slice":
        places = list(range(*slice(*placement.args).indices(count)))
    else:
        places = [int(place) for place in _array(placement)]
    if any(not 0 <= place < count for place in places):
        raise ValueError(f"a column beyond the {count} labels")
    return places


def _labels(index: Any) -> list[Any]:
    """Return the column labels: a text each, or a tuple of them."""
    levels = _levels(index)
    if levels[0].height > _MOST_COLUMNS:
        raise ValueError(f"{levels[0].height} columns")
    parts = []
    for level in levels:
        values = level.values.tolist()
        if level.codes is not None and level.codes.min(initial=0) < 0:
            raise ValueError("a label that is missing")
        parts.append(values if level.codes is None else [values[c] for c in level.codes])
    if any(not isinstance(part, str | int | float) for label in parts for part in label):
        raise TypeError("a label that is no text")
    return parts[0] if len(parts) == 1 else list(zip(*parts, strict=True))


def _levels(index: Any) -> list[Level]:
    cls, state = _of(index, "new index").args
    if cls.meaning == "multi index":
        levels, codes = _list(state["levels"]), _list(state["codes"])
        names = _list(state["names"])
        return [_coded(*parts) for parts in zip(levels, codes, names, strict=True)]
    if cls.meaning == "range index":
        count = len(range(state["start"], state["stop"], state["step"]))
        # A range as long as a pickle likes needs no memory; the number of a row means nothing.
        long = np.broadcast_to(np.int64(0), count)
        return [Level(state.get("name"), np.arange(count) if count <= _MOST_COLUMNS else long)]
    return [_level(state["data"], state.get("name"))]


def _coded(level: Any, codes: Any, name: Any) -> Level:
    (inner,) = _levels(level)
    places = _array(codes)
    if inner.codes is not None:  # a categorical level: a code of a code
        places = np.where(places < 0, -1, inner.codes[places])
    if places.ndim != 1 or places.min(initial=0) < -1:
        raise ValueError("codes of a level below -1")
    if places.max(initial=-1) >= len(inner.values):
        raise ValueError("codes of a level beyond its values")
    return Level(name, inner.values, places, inner.zone)


def _level(data: Any, name: Any) -> Level:
    if isinstance(data, Record) and data.meaning == "backed":
        dtype, codes, _ = data.state
        if isinstance(dtype, Record) and dtype.meaning == "categorical dtype":
            (inner,) = _levels(dtype.state["categories"])
            return _checked(Level(name, inner.values, _array(codes), inner.zone))
    values, zone = _values(data)
    return Level(name, values, zone=zone)


def _checked(level: Level) -> Level:
    if level.codes is not None and level.codes.max(initial=-1) >= len(level.values):
        raise ValueError("codes of categories beyond them")
    return level


def _values(value: Any) -> tuple[Array, str | None]:
    """Return an array and its time zone, if it has one."""
    if not (isinstance(value, Record) and value.meaning == "backed"):
        return _array(value), None
    dtype, array, _ = value.state
    if isinstance(dtype, Record) and dtype.meaning == "zoned dtype":
        return _array(array), _zone(dtype.state["tz"])
    _of(dtype, "dtype", "text dtype")
    return _array(array), None


def _zone(zone: Any) -> str:
    record = _of(zone, "named zone", "utc", "fixed zone")
    if record.meaning == "named zone":
        return _text(record.args[0])
    if record.meaning == "utc":
        return "UTC"
    days, seconds, _ = _of(record.args[0], "timedelta").args
    minutes = (days * 86_400 + seconds) // 60
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}" if minutes else "UTC"


def _array(value: Any) -> Array:
    record = _of(value, "array", "buffer")
    if record.meaning == "buffer":
        raw, dtype, shape, order = record.args
    else:
        _, shape, dtype, is_fortran, raw = record.state
        order = "F" if is_fortran else "C"
    shape = tuple(int(size) for size in shape)
    if not 1 <= len(shape) <= _DIMENSIONS or min(shape) < 0 or order not in {"C", "F"}:
        raise ValueError(f"an array of {len(shape)} dimensions, or of a size below 0")
    kind = _dtype(dtype)
    if kind == np.dtype(object):
        return _objects(raw, shape, order)
    content = _bytes(raw)
    if len(content) != kind.itemsize * int(np.prod(shape, dtype=object)):
        raise ValueError(f"{len(content)} bytes for an array of shape {shape}")
    return np.frombuffer(content, dtype=kind).reshape(shape, order=order)


def _objects(raw: Any, shape: Sequence[int], order: Any) -> Array:
    if not isinstance(raw, list) or len(raw) != int(np.prod(shape, dtype=object)):
        raise ValueError(f"objects that do not fill an array of shape {shape}")
    made = np.empty(len(raw), dtype=object)
    for place, value in enumerate(raw):
        if isinstance(value, str | int | float):
            made[place] = value
        elif value is not None and getattr(value, "meaning", "") != "missing":
            raise ValueError(f"found {type(value).__name__} among texts and numbers")
    return made.reshape(tuple(shape), order=order)


def _dtype(value: Any) -> np.dtype[Any]:
    record = _of(value, "dtype")
    name, state = _text(record.args[0]), record.state
    if name not in _ELEMENTS:
        raise ValueError(f"elements of type {name[:20]!r}")
    order = state[1] if state[1] in {"<", ">", "|"} else "="
    if name != "M8":
        return np.dtype(object) if name[0] == "O" else np.dtype(f"{order}{name}")
    raw_unit, multiple, *_ = state[-1][1]
    unit = _bytes(raw_unit).decode("ascii")
    if unit not in _UNITS or multiple != 1:
        raise ValueError("times in another unit than those of pandas")
    return np.dtype(f"{order}M8[{unit}]")


def _bytes(value: Any) -> bytes | bytearray:
    if isinstance(value, Record) and value.meaning == "bytes":
        text, encoding = value.args
        if encoding != "latin1":
            raise ValueError(f"bytes in {encoding!r}")
        return _text(text).encode("latin-1")
    if isinstance(value, bytes | bytearray):
        return value
    raise ValueError(f"found {type(value).__name__} in the place of bytes")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"found {type(value).__name__} in the place of a text")
    return value


def _list(value: Any) -> list[Any]:
    if isinstance(value, Record) and value.meaning == "list":
        (value,) = value.args
    if not isinstance(value, list | tuple):
        raise TypeError(f"found {type(value).__name__} in the place of a list")
    return list(value)
