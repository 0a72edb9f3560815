"""Qlib itself reads what we write, and we read what Qlib writes."""

import pickle
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from qlops_assets.core.errors import ConversionError
from qlops_assets.lake.conversions.bin_reader import read_provider
from qlops_assets.lake.conversions.bin_writer import export_fields, export_provider
from qlops_assets.lake.conversions.pickle_reader import read_pickle
from qlops_assets.lake.conversions.pickle_writer import write_pickle
from qlops_assets_tests.support.conversion_frames import CODES, as_bits, expected_of, frame_of
from qlops_assets_tests.support.market import weekdays

DAYS = weekdays(date(2020, 1, 2), 12)
FIELDS = ("open", "high", "low", "close", "volume", "vwap", "factor")

# One process for everything: Qlib takes seconds to import, and its state is global.
READER = """
import logging, pickle, sys
from pathlib import Path
import qlib
from qlib.data import D
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.loader import QlibDataLoader, StaticDataLoader
from qlib.data.cache import H
folder = Path(sys.argv[1])
def start(provider):
    qlib.init(provider_uri=str(provider), region="us", kernels=1, joblib_backend="threading",
              expression_cache=None, dataset_cache=None, logging_level=logging.ERROR)
start(folder / "bars")
fields = ["$open", "$high", "$low", "$close", "$volume", "$vwap", "$factor"]
everything = D.features(D.instruments("all"), fields)
everything.to_pickle(folder / "features.pkl")
D.features(D.instruments("all"), fields)[::2].to_pickle(folder / "sliced.pkl", protocol=4)
feature = (["$close/$open-1", "Mean($close,3)"], ["KMID", "MA3"])
label = (["Ref($close,-2)/Ref($close,-1)-1"], ["LABEL0"])
handler = DataHandlerLP(instruments="all", start_time=None, end_time=None,
    data_loader=QlibDataLoader(config={"feature": feature, "label": label}),
    learn_processors=[{"class": "DropnaLabel"}])
raw = handler.fetch(col_set=DataHandlerLP.CS_RAW, data_key=DataHandlerLP.DK_R)
raw.to_pickle(folder / "raw.pkl")
handler.config(dump_all=True, recursive=True)
handler.to_pickle(folder / "handler.pkl")
loaded = StaticDataLoader(config=str(folder / "factors.pkl"))
static = DataHandlerLP(data_loader=loaded, infer_processors=[], learn_processors=[])
found = {
    "all": everything,
    "core": D.features(D.instruments("core"), ["$close"]),
    "listed": D.list_instruments(D.instruments("all"), as_list=True),
    "core listed": D.list_instruments(D.instruments("core")),
    "days": list(D.calendar()),
    "static": loaded.load(instruments=["AAPL"], start_time="2020-01-03", end_time="2020-01-07"),
    "features": static.fetch(col_set="feature"),
    "labels": static.fetch(col_set="label"),
}
start(folder / "factors")
H.clear()
found["fields"] = D.features(D.instruments("all"), ["$kmid", "$label0"])
pickle.dump(found, open(folder / "found", "wb"))
"""


def bars() -> pl.DataFrame:
    """One instrument per way to write a code: halts, a day left out, a late listing."""
    random = np.random.default_rng(3)
    rows = []
    for number, code in enumerate(CODES):
        for place, day in enumerate(DAYS[number % 3 :]):
            if place != 4:
                close, *rest = random.uniform(5, 90, 6)
                is_halted = place == 2
                prices = [None] * 4 if is_halted else [rest[0], rest[1], rest[2], close]
                volume, vwap = (0.0, None) if is_halted else (rest[3] * 1e6, rest[4])
                rows.append((code, day, *prices, volume, vwap, 1.0 + number))
    return frame_of(rows)


def factors() -> pl.DataFrame:
    wide = bars().select("instrument", "date", KMID="close", LABEL0="factor")
    return wide.with_columns(pl.col("KMID", "LABEL0").cast(pl.Float32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("qlib")
    spans = pl.DataFrame(
        {
            "instrument": ["null", "CON", "CON"],
            "start": [DAYS[0], DAYS[1], DAYS[8]],
            "end": [DAYS[9], DAYS[3], DAYS[9]],
        }
    )
    export_provider(made / "bars", bars(), universes={"core": spans})
    export_fields(made / "factors", factors())
    write_pickle(made / "factors.pkl", factors())
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READER, str(made)],
        cwd=made,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return made


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = pickle.loads((folder / "found").read_bytes())
    return value


def rows_of(frame: pd.DataFrame) -> dict[Any, Any]:
    """Return (code, day) -> bits of a Qlib frame; days of nothing left out."""
    frame = frame.reorder_levels(["instrument", "datetime"])
    table = {}
    for (code, stamp), row in zip(frame.index, frame.to_numpy(dtype="f4"), strict=True):
        if not np.isnan(row).all():
            bits = [None if np.isnan(n) else int(n.view(np.uint32)) for n in row]
            table[code, stamp.date()] = tuple(bits)
    return table


def test_qlib_lists_every_code(found: dict[str, Any]) -> None:
    assert sorted(found["listed"]) == sorted(CODES.values())
    assert [stamp.date() for stamp in found["days"]] == DAYS


def test_qlib_reads_every_bar_to_the_bit(found: dict[str, Any]) -> None:
    assert rows_of(found["all"]) == expected_of(bars())


def test_qlib_reads_the_universe_as_of_each_day(found: dict[str, Any]) -> None:
    spans = {
        code: [(start.date(), end.date()) for start, end in own]
        for code, own in found["core listed"].items()
    }
    assert spans == {
        "CON_": [(DAYS[1], DAYS[3]), (DAYS[8], DAYS[9])],
        "NULL_": [(DAYS[0], DAYS[9])],
    }
    days = found["core"].loc["CON_"].index
    held = [*DAYS[1:4], *DAYS[8:10]]
    first = bars().filter(pl.col("instrument") == "CON")["date"].min()
    assert [stamp.date() for stamp in days] == [day for day in held if day >= first]


def test_we_read_back_what_qlib_reads(folder: Path) -> None:
    assert as_bits(read_provider(folder / "bars")) == expected_of(bars())


def test_qlib_reads_factor_fields(found: dict[str, Any]) -> None:
    rows = {key: bits for key, bits in expected_of(factors()).items() if set(bits) != {None}}
    assert rows_of(found["fields"]) == rows


def test_static_loader_takes_our_pickle(found: dict[str, Any]) -> None:
    loaded = found["static"]
    assert list(loaded.columns) == [("feature", "KMID"), ("label", "LABEL0")]
    assert loaded.index.names == ["datetime", "instrument"]
    own = factors().filter(
        pl.col("instrument") == "AAPL",
        pl.col("date").is_between(date(2020, 1, 3), date(2020, 1, 7)),
    )
    assert own.height >= 2
    assert rows_of(loaded) == expected_of(own)
    assert list(found["features"].columns) == ["KMID"]
    assert list(found["labels"].columns) == ["LABEL0"]
    assert len(found["labels"]) == factors().height


def test_we_take_a_pickle_of_qlib_features(folder: Path) -> None:
    read = read_pickle(folder / "features.pkl")
    assert read.columns == ["instrument", "date", *FIELDS]
    rows = {key: bits for key, bits in as_bits(read).items() if set(bits) != {None}}
    assert rows == expected_of(bars())
    assert read_pickle(folder / "sliced.pkl").height == (read.height + 1) // 2


def test_we_take_the_raw_frame_of_a_qlib_handler(folder: Path) -> None:
    read = read_pickle(folder / "raw.pkl", is_bars=False)
    theirs = pd.read_pickle(folder / "raw.pkl")
    assert list(theirs.columns) == [("feature", "KMID"), ("feature", "MA3"), ("label", "LABEL0")]
    assert read.columns == ["instrument", "date", "KMID", "MA3", "LABEL0"]
    rows = {key: bits for key, bits in as_bits(read).items() if set(bits) != {None}}
    assert rows == rows_of(theirs)
    assert read.height == len(theirs)


def test_pickled_handler_is_refused_and_says_what_to_save(folder: Path) -> None:
    with pytest.raises(ConversionError, match=r"names qlib\.data.*save the frame that its fetch"):
        read_pickle(folder / "handler.pkl", is_bars=False)
