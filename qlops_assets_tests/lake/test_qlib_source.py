"""A Qlib provider as the source: versions of instruments whose files only mean something together.

The provider is written by plain loops over the format's description, not by our own writer.
"""

import shutil
import struct
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from qlops_assets.core.errors import LakeError
from qlops_assets.core.settings import Settings
from qlops_assets.lake.bars import build_bars
from qlops_assets.lake.benchmark import load_benchmark
from qlops_assets.lake.conversions.bin_reader import read_provider
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.manifest import changed_months, month_versions
from qlops_assets.lake.scan import scan
from qlops_assets.lake.universe import load_universe
from qlops_assets.lake.versions.restore import restore
from qlops_assets.lake.versions.snapshots import snapshot_store
from qlops_assets_tests.support.monthly_files import reason, usable
from qlops_assets_tests.support.plain_provider import write_plain_provider

CODES = ("SH600000", "SH600004", "SZ000001")


def adjusted(bars: pl.DataFrame) -> pl.DataFrame:
    """Return raw bars as a provider has them: adjusted, in float32, a halt without prices."""
    traded, factor = pl.col("volume") > 0, pl.col("factor")
    prices = ("open", "high", "low", "close")
    return bars.with_columns(
        *(pl.when(traded).then(pl.col(name) * factor) for name in prices),
        volume=pl.when(traded).then(pl.col("volume") / factor),
        vwap=pl.when(traded).then(pl.col("close") * factor),
    )


def replace_provider(folder: Path, bars: pl.DataFrame, **options) -> None:
    new = folder.with_name(f"{folder.name}-new")
    write_plain_provider(new, adjusted(bars), **options)
    for path in (p for p in new.rglob("*") if p.is_file()):
        target = folder / path.relative_to(new)
        if not target.exists() or target.read_bytes() != path.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    shutil.rmtree(new)


@pytest.fixture
def store(source, make_bars):
    """A provider of three instruments over 40 days from 2020-01-02 on, with a market ``core``."""
    spans = [("SH600000", date(2020, 1, 2), date(2020, 1, 20))]
    replace_provider(source.folder, of_days(make_bars, 40), universe=spans)
    return source


def of_days(make_bars, days: int, seed: int = 1) -> pl.DataFrame:
    """Return the first days of one history."""
    whole = make_bars(days=45, seed=seed)
    return whole.filter(pl.col("date").is_in(whole["date"].unique().sort()[:days].implode()))


def built(settings: Settings) -> pl.DataFrame:
    build_bars(settings, list(month_versions(scan(settings))))
    return bars_dataset(settings).read()


def test_every_instrument_is_a_file_version_and_the_lists_are_beside_them(store) -> None:
    manifest = scan(store.settings)
    assert usable(manifest) == [f"features/{code.lower()}" for code in CODES]
    assert [other.path for other in manifest.others] == [
        "calendars/day.txt", "instruments/all.txt", "instruments/core.txt",
    ]  # fmt: skip
    assert {file.instruments for file in manifest.files} == {1}


def test_bars_are_what_a_reader_of_providers_gives(store) -> None:
    bars = built(store.settings)
    read = read_provider(store.folder).filter(pl.col("volume") > 0)
    traded = bars.filter(pl.col("volume") > 0)
    prices = ["instrument", "date", "open", "high", "low", "close", "volume", "factor"]
    assert_frame_equal(traded.select(prices), read.select(prices), check_exact=True)


def test_factor_of_a_provider_is_not_applied_again(store, make_bars) -> None:
    raw = of_days(make_bars, 40).filter(pl.col("volume") > 0)
    bars = built(store.settings).filter(pl.col("volume") > 0)
    expected = (raw["close"] * raw["factor"]).cast(pl.Float32).cast(pl.Float64)
    np.testing.assert_array_equal(bars["close"].to_numpy(), expected.to_numpy())


def test_new_day_changes_its_month_alone(store, make_bars) -> None:
    first = scan(store.settings)
    replace_provider(store.folder, of_days(make_bars, 41))
    second = scan(store.settings)
    assert changed_months(first, second) == {"2020-02"}
    head = snapshot_store(store.settings).heads()[-1]
    assert (head.touched_months, head.touched_instruments) == (("2020-02",), 3)


def test_calendar_that_grows_at_its_beginning_moves_every_place_and_changes_nothing(
    store, make_bars
) -> None:
    first = scan(store.settings)
    days = (store.folder / "calendars" / "day.txt").read_text()
    store.text("calendars/day.txt", f"2019-12-30\n2019-12-31\n{days}")
    for path in store.folder.rglob("*.bin"):
        content = path.read_bytes()
        (start,) = struct.unpack("<f", content[:4])
        path.write_bytes(struct.pack("<f", start + 2) + content[4:])
    second = scan(store.settings)
    assert changed_months(first, second) == set()
    kinds = {change.kind for change in snapshot_store(store.settings).load(2).changes}
    assert kinds == {"recompressed", "changed"}  # instruments, and the calendar's own file


def test_every_state_is_restored_byte_for_byte(store, make_bars, tmp_path) -> None:
    def content(folder: Path) -> dict[str, bytes]:
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files(folder)}

    def files(folder: Path) -> list[Path]:
        return [p for p in folder.rglob("*") if p.is_file()]

    seen = []
    for days, seed in ((40, 1), (41, 1), (41, 2)):
        replace_provider(store.folder, of_days(make_bars, days, seed))
        scan(store.settings)
        seen.append(content(store.folder))
    for number, expected in enumerate(seen, start=1):
        restore(store.settings, number, tmp_path / str(number))
        assert content(tmp_path / str(number)) == expected


def test_damaged_archive_is_never_restored(store, tmp_path) -> None:
    manifest = scan(store.settings)
    kept = store.settings.lake / "raw_bars" / "blobs" / f"{manifest.files[0].digest}.tar"
    content = bytearray(kept.read_bytes())
    content[600] ^= 1
    kept.write_bytes(content)
    with pytest.raises(LakeError, match="the kept copy of features/sh600000 is damaged"):
        restore(store.settings, 1, tmp_path / "then")
    assert not (tmp_path / "then").exists()


def test_field_that_is_touched_among_many_is_seen(store) -> None:
    first = scan(store.settings)
    path = store.folder / "features" / "sz000001" / "low.day.bin"
    values = np.frombuffer(path.read_bytes(), "<f4").copy()
    values[5] *= 0.999
    path.write_bytes(values.tobytes())
    second = scan(store.settings)
    assert [f.path for f in second.files if f not in first.files] == ["features/sz000001"]
    assert changed_months(first, second) == {"2020-01"}


def test_markets_of_a_provider_are_universes_and_the_list_of_all_is_none(store) -> None:
    built(store.settings)
    assert load_universe(store.settings).name == "core"
    assert load_universe(store.with_universe("all").settings).name == "all"


def test_index_among_the_instruments_can_be_the_benchmark(store) -> None:
    named = store.with_source(benchmark="sh600004")
    bars = built(named.settings).filter(pl.col("instrument") == "SH600004").drop_nulls("close")
    benchmark = load_benchmark(named.settings)
    assert benchmark.name == "SH600004"
    moves = (bars["close"] / bars["close"].shift(1) - 1).drop_nulls()
    assert benchmark.returns["return"].to_list() == moves.to_list()


@pytest.mark.parametrize(
    ("file", "content", "found"),
    [
        ("features/sh600000/close.day.bin", b"abc", "close.day.bin is no file of a provider (3 b"),
        ("features/sh600000/close.day.bin", b"", "close.day.bin is no file of a provider (0 b"),
        (
            "features/sh600000/close.day.bin",
            struct.pack("<3f", 39, 1, 1),
            "values for days 39 to 40, the calendar has 40",
        ),
        (
            "features/sh600000/close.day.bin",
            struct.pack("<2f", 0.5, 1),
            "it begins with 0.5",
        ),
    ],
)
def test_damaged_instrument_is_quarantined_and_its_good_version_stays(
    store, file: str, content: bytes, found: str
) -> None:
    first = scan(store.settings)
    (store.folder / file).write_bytes(content)
    second = scan(store.settings)
    assert found in reason(second, "features/sh600000")
    assert second.held == ["features/sh600000"]
    assert changed_months(first, second) == set()


def test_calendar_that_is_no_list_of_days_changes_nothing(store) -> None:
    first = scan(store.settings)
    store.text("calendars/day.txt", "not a day\n")
    second = scan(store.settings)
    assert {q.path for q in second.quarantined} == {f"features/{code.lower()}" for code in CODES}
    assert changed_months(first, second) == set()


def test_field_that_bars_need_and_that_is_missing_is_named(store) -> None:
    (store.folder / "features" / "sh600000" / "high.day.bin").unlink()
    assert "has no column 'high'" in reason(scan(store.settings), "features/sh600000")
