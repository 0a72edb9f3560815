"""What a file says, apart from how its bytes say it: digests of its rows by month and instrument.

A file that is written again with another compression or order of rows has other bytes and the same
contents; one whose history was restated differs in exactly the months that were touched.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl
import xxhash
from numpy.typing import NDArray

from qlops_assets.core.columns import DATE, INSTRUMENT
from qlops_assets.core.digests import combined_digest

MONTH: Final = "month"
CONTENTS: Final = {
    "path": pl.String,
    "digest": pl.String,
    "kind": pl.String,
    "key": pl.String,
    "content": pl.Binary,
}


def contents_of(path: str, digest: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the digests of a file's rows: one per month and one per instrument.

    Args:
        path: The file's name in manifests.
        digest: Of its bytes.
        frame: Its rows, sorted by instrument and date; every column beside these is a number.

    Returns:
        The columns of :data:`CONTENTS`: ``kind`` is ``month`` or ``instrument``, ``key`` which,
        ``content`` the xxh3_128 of its rows.
    """
    places = frame[DATE].to_numpy().astype("datetime64[M]").astype(np.int64)
    codes = frame[INSTRUMENT].rle_id().cast(pl.Int64).to_numpy()
    names = frame[INSTRUMENT].gather(_starts(codes)).to_list()
    rows = _row_bytes(frame, names, codes)
    order = np.argsort(places, kind="stable")
    months = _group_digests(rows[order], places[order])
    instruments = _group_digests(rows, codes)
    keys = [f"{1970 + place // 12:04d}-{place % 12 + 1:02d}" for place, _ in months] + names
    count = len(keys)
    return pl.DataFrame(
        {
            "path": [path] * count,
            "digest": [digest] * count,
            "kind": [MONTH] * len(months) + [INSTRUMENT] * len(names),
            "key": keys,
            "content": [content for _, content in [*months, *instruments]],
        },
        schema=CONTENTS,
    )


def _row_bytes(
    frame: pl.DataFrame, names: Sequence[str], codes: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return a row of whole numbers per row: its instrument, its day, the bits of its numbers."""
    numbers = [name for name in frame.columns if name not in (INSTRUMENT, DATE)]
    rows = np.empty((frame.height, 2 + len(numbers)), dtype=np.int64)
    hashes = np.array([xxhash.xxh3_64_intdigest(name.encode()) for name in names], dtype=np.uint64)
    rows[:, 0] = hashes.view(np.int64)[codes]
    rows[:, 1] = frame[DATE].to_physical().to_numpy()
    for place, name in enumerate(numbers, start=2):
        values = frame[name].to_numpy().astype(np.float64, copy=True)  # null as NaN
        values[np.isnan(values)] = np.nan  # one NaN of the many
        rows[:, place] = (values + 0.0).view(np.int64)  # and one zero of the two
    return rows


def _starts(groups: NDArray[Any]) -> NDArray[np.intp]:
    """Return where each group begins, of groups that lie one after the other."""
    return np.flatnonzero(np.diff(groups, prepend=groups[0] - 1 if len(groups) else 0))


def _group_digests(rows: NDArray[np.int64], groups: NDArray[Any]) -> list[tuple[int, bytes]]:
    """Return (group, digest of its rows) for groups that lie one after the other."""
    starts = _starts(groups)
    ends = np.append(starts[1:], len(groups))
    content = np.ascontiguousarray(rows).view(np.uint8).reshape(-1).data
    width = rows.shape[1] * rows.itemsize
    return [
        (int(groups[start]), xxhash.xxh3_128_digest(content[start * width : end * width]))
        for start, end in zip(starts, ends, strict=True)
    ]


def month_contents(contents: pl.DataFrame) -> dict[str, str]:
    """Return for each month one digest of what all files say about it, whatever they are called."""
    by_month: defaultdict[str, list[bytes]] = defaultdict(list)
    of_months = contents.filter(pl.col("kind") == MONTH)
    for key, content in zip(of_months["key"], of_months["content"], strict=True):
        by_month[key].append(content)
    return {
        month: combined_digest(content.hex() for content in sorted(by_month[month]))
        for month in sorted(by_month)
    }
