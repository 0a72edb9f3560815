"""A pickle is a program; ours is a reader that runs none of it."""

import io
import os
import pickle
import struct
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlops_assets.core.errors import ConversionError
from qlops_assets.lake.conversions.pickle_reader import read_pickle
from qlops_assets_tests.support.conversion_frames import DAYS


def frame() -> pd.DataFrame:
    index = pd.MultiIndex.from_product(
        [pd.DatetimeIndex(DAYS[:2]), ["A", "B"]], names=["datetime", "instrument"]
    )
    return pd.DataFrame({"KMID": np.arange(4, dtype="f4"), "KLEN": 1.5}, index=index)


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.fixture
def marker(tmp_path) -> Path:
    """A file that only exists when a pickle was run."""
    return tmp_path / "was-run"


def hidden_in_a_frame(evil: Any) -> pd.DataFrame:
    made = frame()
    made.attrs["note"] = evil
    return made


def hidden_in_a_cell(evil: Any) -> pd.DataFrame:
    return (
        frame()
        .assign(KMID=pd.Series([1, 2, 3, None], index=frame().index, dtype=object))
        .replace({"KMID": {3: evil}})
    )


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("place", [lambda evil: evil, hidden_in_a_frame, lambda evil: [evil]])
def test_call_of_the_system_is_refused_and_not_made(
    tmp_path: Path, marker: Path, protocol: int, place
) -> None:
    evil = place(Calls(os.system, f"touch {marker}"))
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(evil, protocol=protocol))
    with pytest.raises(ConversionError, match=r"it names \w*\.?system|copy_reg|copyreg") as caught:
        read_pickle(path, is_bars=False)
    assert not marker.exists()
    if place is not hidden_in_a_frame:
        assert (
            "it names posix.system, which is not what a DataFrame is made of; it was not run"
            in (str(caught.value))
        )
        pickle.loads(path.read_bytes())
        assert marker.exists()  # the same bytes in the hands of Python


@pytest.mark.parametrize(
    ("evil", "name"),
    [
        (Calls(eval, "1"), "builtins.eval"),
        (Calls(exec, "1"), "builtins.exec"),
        (Calls(getattr, "a", "upper"), "builtins.getattr"),
        (Calls(np.load, "/etc/passwd"), "numpy.load"),
        (Calls(pd.read_pickle, "/etc/passwd"), "pandas.io.pickle.read_pickle"),
        (Calls(pd.DataFrame.eval, "1"), "builtins.getattr"),
        (io.BytesIO, "_io.BytesIO"),
    ],
)
def test_any_other_name_is_refused_and_named(tmp_path: Path, evil: Any, name: str) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(evil, protocol=2))
    with pytest.raises(ConversionError) as caught:
        read_pickle(path, is_bars=False)
    module, _, function = name.rpartition(".")
    assert any(f"names {m}.{function}" in str(caught.value) for m in (module, "__builtin__"))


def test_names_that_lead_further_are_names_of_their_own(tmp_path: Path) -> None:
    for name in ("core.frame\nDataFrame.eval", "core.frame\nos.system"):
        (tmp_path / "x.pkl").write_bytes(f"\x80\x04cpandas.{name}\n.".encode("latin-1"))
        with pytest.raises(ConversionError, match="which is not what a DataFrame is made of"):
            read_pickle(tmp_path / "x.pkl", is_bars=False)


def test_state_given_to_a_class_or_function_changes_none(tmp_path: Path) -> None:
    """BUILD with slots sets attributes on whatever lies on the stack; ours is no real class."""
    before = vars(pd.DataFrame).copy()
    poison = b"\x80\x04cpandas.core.frame\nDataFrame\n(N}\x8c\x04evil\x8c\x04evilstb."
    (tmp_path / "x.pkl").write_bytes(poison)
    with pytest.raises(ConversionError):
        read_pickle(tmp_path / "x.pkl", is_bars=False)
    assert vars(pd.DataFrame) == before
    assert not hasattr(pd.DataFrame, "evil")


def test_false_lengths_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    good = pickle.dumps(frame(), protocol=4)
    claims = {
        "memo place": b"\x80\x04Nr" + struct.pack("<I", 0xFFFFFFF0) + b".",
        "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"abc.",
        "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"abc.",
        "rows": good.replace(b"K\x04\x86", b"J\xff\xff\xff\x7f\x86"),
    }
    for content in claims.values():
        (tmp_path / "x.pkl").write_bytes(content)
        tracemalloc.start()
        with pytest.raises(ConversionError):
            read_pickle(tmp_path / "x.pkl", is_bars=False)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20_000_000


def test_every_part_of_a_pickle_alone_is_refused(tmp_path: Path) -> None:
    content = pickle.dumps(frame())
    path = tmp_path / "x.pkl"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ConversionError, match=r"x\.pkl"):
            read_pickle(path, is_bars=False)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_read_or_refused_in_our_words(data: st.DataObject) -> None:
    content = bytearray(pickle.dumps(frame(), protocol=data.draw(st.sampled_from([2, 4, 5]))))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.NamedTemporaryFile(suffix=".pkl") as file:
        Path(file.name).write_bytes(bytes(content))
        try:
            read = read_pickle(Path(file.name), is_bars=False)
        except ConversionError:
            return
    assert isinstance(read, pl.DataFrame)
    assert read.height > 0


def test_missing_pickle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="cannot be read"):
        read_pickle(tmp_path / "none.pkl")
