import os
import pickle
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.columns import FIELDS
from qlops_assets.core.errors import DatasetMissingError
from qlops_assets.lake.bars import build_bars
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.manifest import month_versions
from qlops_assets.lake.qlib_bin import build_provider, provider_instruments, write_provider
from qlops_assets.lake.scan import scan

# Qlib itself reads the provider, in a process of its own: its state is global.
READER = """
import logging, pickle, sys
import qlib
from qlib.data import D
provider, market, out = sys.argv[1:]
qlib.init(provider_uri=provider, region="cn", kernels=1, joblib_backend="threading",
          expression_cache=None, dataset_cache=None, logging_level=logging.ERROR)
fields = [f"${f}" for f in ("open", "high", "low", "close", "volume", "vwap", "factor", "change")]
listed = D.instruments(market)
frames = {
    "all": D.features(D.instruments("all"), fields),
    "market": D.features(listed, ["$close"]),
    "index": D.features(["SH000300"], ["$close", "$change"]),
    "days": list(D.calendar()),
    "future": list(D.calendar(future=True)),
    "listed": sorted(D.list_instruments(listed, as_list=True)),
}
pickle.dump(frames, open(out, "wb"))
"""


@pytest.fixture
def built(source, make_bars):
    """Bars with halts, a gap, a late listing, a delisting, odd codes; an index; a universe."""
    raw = make_bars(["SH600000", "SZ000001", "na", "CON", "BRK.B"], days=40)
    days = sorted(set(raw["date"]))
    code, day = pl.col("instrument"), pl.col("date")
    raw = raw.filter(
        ~((code == "SZ000001") & (day < days[7])),
        ~((code == "CON") & (day > days[20])),
        ~((code == "BRK.B") & day.is_in(days[10:13])),
    )
    source.write("bars/2020.parquet", raw)
    levels = pl.DataFrame({"date": days[3:]}).with_columns(
        instrument=pl.lit("SH000300"), close=4000.0 + pl.int_range(pl.len()) ** 2
    )
    source.write("benchmark.parquet", levels)
    source.text(
        "pool.txt",
        f"SH600000\t{days[0]}\t{days[5]}\nSH600000\t{days[9]}\t2099-12-31\nNA\t{days[2]}\t{days[4]}\n",
    )
    build_bars(source.settings, list(month_versions(scan(source.settings))))
    return source


def read_by_qlib(provider: Path, market: str, tmp_path: Path) -> dict:
    out = tmp_path / "out.pickle"
    arguments = [sys.executable, "-c", READER, str(provider), market, str(out)]
    finished = subprocess.run(
        arguments, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    return pickle.loads(out.read_bytes())


def expected_values(bars: pl.DataFrame, days: list[date]) -> dict[str, dict[str, list[float]]]:
    """Return code -> field -> values per calendar day within the span, by a plain loop."""
    found: dict[str, dict[str, list[float]]] = {}
    for code in bars["instrument"].unique().sort():
        rows = {
            r["date"]: r for r in bars.filter(pl.col("instrument") == code).iter_rows(named=True)
        }
        span = [d for d in days if min(rows) <= d <= max(rows)]
        columns: dict[str, list[float]] = {field: [] for field in FIELDS}
        last = None
        for day in span:
            row = rows.get(day, {})
            for field in FIELDS[:-1]:
                value = row.get(field)
                columns[field].append(np.nan if value is None else value)
            close = row.get("close")
            columns["change"].append(np.nan if close is None or last is None else close / last - 1)
            last = close or last
        found[code] = columns
    return found


def test_provider_read_by_qlib_gives_the_bars_to_the_bit(built, tmp_path) -> None:
    frames = read_by_qlib(build_provider(built.settings), "pool", tmp_path)
    bars = bars_dataset(built.settings).read()
    days = sorted(set(bars["date"]))
    assert [stamp.date() for stamp in frames["days"]] == days
    later = [stamp.date() for stamp in frames["future"]][len(days) :]
    assert days[-1] == date(2020, 2, 26)  # a Wednesday
    assert later == [days[-1] + timedelta(days=n) for n in (1, 2, 5, 6, 7)]
    expected = expected_values(bars, days)
    assert sorted(expected) == ["BRK.B", "CON_", "NA_", "SH600000", "SZ000001"]
    for code, columns in expected.items():
        read = frames["all"].loc[code]
        for field, values in columns.items():
            np.testing.assert_array_equal(
                read[f"${field}"].to_numpy(), np.array(values, dtype="f4")
            )
    assert frames["listed"] == ["NA_", "SH600000"]
    pool = frames["market"]["$close"]
    assert len(pool.loc["NA_"]) == 3
    assert len(pool.loc["SH600000"]) == 6 + 40 - 9
    index = frames["index"].loc["SH000300"]
    levels = np.array([4000.0 + n**2 for n in range(37)])
    np.testing.assert_array_equal(index["$close"].to_numpy(), levels.astype("f4"))
    np.testing.assert_array_equal(
        index["$change"].to_numpy()[1:], (levels[1:] / levels[:-1] - 1).astype("f4")
    )


def test_index_is_not_an_instrument_of_any_list(built) -> None:
    provider = build_provider(built.settings)
    for path in (provider / "instruments").iterdir():
        assert "SH000300" not in path.read_text(encoding="utf-8")
    assert (provider / "features" / "sh000300" / "close.day.bin").is_file()


def test_provider_of_the_same_inputs_is_returned_at_once(built) -> None:
    first = build_provider(built.settings)
    written = (first / "calendars" / "day.txt").stat().st_mtime_ns
    assert build_provider(built.settings) == first
    assert (first / "calendars" / "day.txt").stat().st_mtime_ns == written


def test_provider_differs_with_bars_universe_and_index(built, make_bars) -> None:
    seen = [build_provider(built.settings)]
    built.beside("pool.txt", "SH600000\t2020-01-01\t2020-12-31\n")
    seen.append(build_provider(built.settings))
    built.beside("benchmark.parquet", make_bars(["SH000905"], days=9))
    seen.append(build_provider(built.settings))
    assert len(set(seen)) == 3
    assert all(provider.is_dir() for provider in seen)
    built.write("bars/2020.parquet", make_bars(days=30, seed=8))
    build_bars(built.settings, list(month_versions(scan(built.settings))))
    seen.append(build_provider(built.settings))
    assert len(set(seen)) == 4
    assert [provider.is_dir() for provider in seen] == [False, True, True, True]


def test_provider_in_use_again_is_kept_as_one_of_the_newest(built) -> None:
    first = build_provider(built.settings)
    for end in (5, 6, 7):
        os.utime(first)
        built.text("pool.txt", f"SH600000\t2020-01-01\t2020-12-0{end}\n")
        build_provider(built.settings)
    assert first.is_dir()


def test_leftovers_of_a_killed_build_are_no_provider(built) -> None:
    provider = build_provider(built.settings)
    left = provider.parent / ".abc.123.tmp"
    left.mkdir()
    os.utime(left, (0, 0))
    fresh = provider.parent / ".abd.123.tmp"
    fresh.mkdir()
    build_provider(built.settings)
    assert not left.exists()
    assert fresh.exists()


def test_provider_without_bars_says_what_to_do(source, make_bars) -> None:
    source.write("bars/2020.parquet", make_bars())
    with pytest.raises(DatasetMissingError, match="materialize bars"):
        build_provider(source.settings)


def test_provider_of_a_frame_alone_fills_what_it_lacks(tmp_path, make_bars) -> None:
    raw = make_bars(["B", "A"], days=5).drop("factor")
    write_provider(tmp_path / "provider", raw)
    assert provider_instruments(tmp_path / "provider") == ["A", "B"]
    home = tmp_path / "provider" / "features" / "a"
    assert np.fromfile(home / "factor.day.bin", dtype="<f4").tolist() == [0.0, *[1.0] * 5]
    assert np.isnan(np.fromfile(home / "vwap.day.bin", dtype="<f4")[1:]).all()
    close = raw.filter(pl.col("instrument") == "A")["close"].cast(pl.Float32).to_numpy()
    np.testing.assert_array_equal(np.fromfile(home / "close.day.bin", dtype="<f4")[1:], close)


@pytest.mark.real_data
def test_real_sample_is_in_the_files_to_the_bit(shared_data: Path, make_source) -> None:
    source = make_source(path=shared_data / "sample-cn-60")
    build_bars(source.settings, list(month_versions(scan(source.settings))))
    features = build_provider(source.settings) / "features"
    bars = bars_dataset(source.settings).read()
    assert {p.name.upper() for p in features.iterdir()} == {*bars["instrument"], "SH000300"}
    for (code,), rows in bars.group_by("instrument"):
        for field in FIELDS[:-1]:
            stored = np.fromfile(features / str(code).lower() / f"{field}.day.bin", dtype="<f4")
            assert stored[0] == 0
            np.testing.assert_array_equal(stored[1:], rows[field].cast(pl.Float32).to_numpy())
