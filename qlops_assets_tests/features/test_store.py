"""The feature table against its sets: what a refresh writes, which versions can be read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import lancedb
import numpy as np
import polars as pl
import pytest

from qlops_assets.core.columns import KEY
from qlops_assets.core.errors import CorruptPartitionError, FeatureTableError
from qlops_assets.core.settings import Settings
from qlops_assets.factors.store import alpha158_dataset, factor_dataset
from qlops_assets.features.store import FeatureStore
from qlops_assets.features.table import Merged
from qlops_assets.features.version import FeatureVersion
from qlops_assets.indicators.names import DEFAULT_NAMES
from qlops_assets.indicators.store import indicator_dataset
from qlops_assets.lake.datasets import MonthlyDataset
from qlops_assets_tests.support.market import build_table
from qlops_assets_tests.support.own_factors import OWN, build_own_factors, with_own_factors

MONTH = "2019-06"
START = datetime(2026, 1, 5, 18, tzinfo=UTC)


class Hand:
    """A clock that is set by hand."""

    def __init__(self, moment: datetime = START) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


def everything(version: FeatureVersion | None) -> pl.DataFrame:
    assert version is not None
    return pl.DataFrame(pl.from_arrow(version.training_frame()))


def joined(settings: Settings) -> pl.DataFrame:
    """Return what the table should hold, by one join of all that is stored."""
    sets = [
        dataset.read()
        for dataset in (
            alpha158_dataset(settings),
            factor_dataset(settings, "custom"),
            indicator_dataset(settings),
        )
        if dataset.months()
    ]
    whole = sets[0]
    for other in sets[1:]:
        whole = whole.join(other, on=KEY, how="full", coalesce=True)
    values = pl.exclude(KEY).cast(pl.Float32).fill_null(float("nan"))
    return whole.select("date", "instrument", values).sort("date", "instrument")


def same(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Whether two frames are equal to the bit; columns in any order."""
    names = sorted(other.columns)
    alike = one.height == other.height and sorted(one.columns) == names
    return alike and one.select(names).equals(other.select(names))


def change(dataset: MonthlyDataset, month: str, frame: pl.DataFrame) -> None:
    info = dataset.info(month)
    assert info is not None
    dataset.write(month, frame, inputs="changed", code=info.code, expressions=info.expressions)


def test_table_holds_every_column_of_every_set(market: Settings) -> None:
    version = FeatureStore(market).latest()
    assert version is not None
    assert same(everything(version), joined(market))
    assert set(DEFAULT_NAMES) < set(version.columns)
    assert version.rows == alpha158_dataset(market).read().height
    assert FeatureStore(market).stale_months() == []


def test_lancedb_reads_the_same_rows(market: Settings) -> None:
    version = FeatureStore(market).latest()
    assert version is not None
    table = lancedb.connect(str(market.lake / "features")).open_table("table")
    table.checkout(version.table_version)
    theirs = pl.DataFrame(pl.from_arrow(table.to_arrow())).sort("date", "instrument")
    assert same(theirs, everything(version))


def test_refresh_without_a_change_publishes_nothing(own_market: Settings) -> None:
    store = FeatureStore(own_market)
    before = len(store.versions())
    report = store.refresh()
    assert (report.months, report.merged) == ((), Merged())
    assert len(store.versions()) == before


def test_refresh_writes_only_the_rows_that_changed(own_market: Settings) -> None:
    store, dataset = FeatureStore(own_market), indicator_dataset(own_market)
    before, rows = everything(store.latest()), dataset.read([MONTH])
    odd = pl.int_range(pl.len()).is_in([3, 8, 40])
    moved = pl.when(odd).then(pl.col("rsi_14").fill_null(0) + 1).otherwise(pl.col("rsi_14"))
    change(dataset, MONTH, rows.with_columns(moved.alias("rsi_14")))
    assert store.stale_months() == [MONTH]
    assert store.stale_months(["2019-07"]) == []
    report = store.refresh()
    assert report.months == (MONTH,)
    assert report.merged == Merged(updated=3)
    assert not report.rewritten
    after = everything(store.latest())
    assert same(after, joined(own_market))
    assert (after.drop("rsi_14") == before.drop("rsi_14")).height == before.height


def test_months_that_were_not_asked_for_stay_stale(own_market: Settings) -> None:
    store, dataset = FeatureStore(own_market), indicator_dataset(own_market)
    for month in (MONTH, "2019-09"):
        change(dataset, month, dataset.read([month]).with_columns(pl.col("obv") + 1))
    assert store.refresh([MONTH]).months == (MONTH,)
    assert store.stale_months() == ["2019-09"]


def test_rows_that_a_set_no_longer_has_go(own_market: Settings) -> None:
    store = FeatureStore(own_market)
    for dataset in (alpha158_dataset(own_market), indicator_dataset(own_market)):
        change(dataset, MONTH, dataset.read([MONTH]).filter(pl.col("instrument") != "SH600000"))
    gone = alpha158_dataset(own_market).read().height
    report = store.refresh()
    assert report.merged.deleted > 15
    assert everything(store.latest()).height == gone
    assert same(everything(store.latest()), joined(own_market))
    for dataset in (alpha158_dataset(own_market), indicator_dataset(own_market)):
        dataset.remove("2020-08")
    assert store.refresh().months == ("2020-08",)
    latest = store.latest()
    assert latest is not None
    assert max(latest.months) == "2020-07"
    assert same(everything(latest), joined(own_market))


def test_version_that_was_read_never_changes(own_market: Settings) -> None:
    store, dataset = FeatureStore(own_market), indicator_dataset(own_market)
    old = store.latest()
    before = everything(old)
    change(dataset, MONTH, dataset.read([MONTH]).with_columns(pl.col("obv") + 1))
    store.refresh()
    assert same(everything(old), before)
    assert not same(everything(store.latest()), before)


def test_new_factor_becomes_a_column_and_goes_again(own_market: Settings) -> None:
    settings = with_own_factors(own_market)
    store = FeatureStore(settings)
    first = store.latest()
    build_own_factors(settings)
    version = store.latest()
    assert version is not None
    assert set(OWN) < set(version.columns)
    assert version.definitions("custom", MONTH) == OWN
    assert same(everything(version), joined(settings))
    fewer = replace(settings, factors={"BACK4": OWN["BACK4"]})
    build_own_factors(fewer)
    latest = store.latest()
    assert latest is not None
    assert "SPREAD" not in latest.columns
    assert same(everything(latest), joined(settings))
    assert first is not None
    assert "BACK4" not in everything(first).columns
    assert "SPREAD" in everything(version).columns


def test_refresh_says_which_columns_came_and_went(own_market: Settings) -> None:
    store, dataset = FeatureStore(own_market), indicator_dataset(own_market)
    for month in dataset.months():
        change(dataset, month, dataset.read([month]).rename({"obv": "obv_2"}))
    report = store.refresh([MONTH])
    assert (report.added, report.removed) == (("obv_2",), ("obv",))
    assert report.rewritten
    assert store.stale_months() == []


def test_month_of_other_columns_has_no_value_in_those_it_lacks(own_market: Settings) -> None:
    store, dataset = FeatureStore(own_market), indicator_dataset(own_market)
    rows = dataset.read([MONTH]).drop("obv")
    dataset.write(MONTH, rows, inputs="i", code="older")
    store.refresh()
    values = everything(store.latest()).select("date", "obv")
    inside = pl.col("date").dt.strftime("%Y-%m") == MONTH
    assert values.filter(inside)["obv"].is_nan().all()
    assert not values.filter(~inside)["obv"].is_nan().all()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: pl.concat([f, f.tail(2)]), "2 rows of indicator_features in 2019-06 have the"),
        (
            lambda f: f.with_columns(
                pl.when(pl.int_range(pl.len()) == 0)
                .then(None)
                .otherwise(pl.col("instrument"))
                .alias("instrument")
            ),
            "1 rows of indicator_features in 2019-06 have no date or no instrument",
        ),
        (lambda f: f.rename({"obv": "KMID"}), "2019-06 has 'KMID' in alpha158 and in indicators"),
    ],
    ids=["twice", "null", "two owners"],
)
def test_rows_that_cannot_be_put_in_leave_the_table_as_it_was(
    own_market: Settings, spoil, said: str
) -> None:
    store, dataset = FeatureStore(own_market), indicator_dataset(own_market)
    before = everything(store.latest())
    info = dataset.info(MONTH)
    path = dataset.folder / f"{MONTH}.parquet"
    facts = pl.read_parquet_metadata(path)["qlops"].replace(info.digest, "0" * 32)
    spoil(dataset.read([MONTH])).write_parquet(path, metadata={"qlops": facts})
    with pytest.raises(FeatureTableError, match=said):
        store.refresh()
    assert same(everything(FeatureStore(own_market).latest()), before)
    assert store.stale_months() == [MONTH]


def test_damaged_month_is_named_and_the_table_stays(own_market: Settings) -> None:
    store, dataset = FeatureStore(own_market), indicator_dataset(own_market)
    before = everything(store.latest())
    (dataset.folder / f"{MONTH}.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(CorruptPartitionError, match=MONTH):
        store.refresh()
    assert same(everything(store.latest()), before)


def test_version_as_of_a_moment_is_what_readers_saw_then(own_market: Settings) -> None:
    clock = Hand(datetime.now(UTC) + timedelta(days=1))
    store, dataset = FeatureStore(own_market, clock=clock), indicator_dataset(own_market)
    seen = [(clock.moment - timedelta(hours=1), everything(store.latest()))]
    for _ in range(3):
        change(dataset, MONTH, dataset.read([MONTH]).with_columns(pl.col("obv") + 1))
        store.refresh()
        seen.append((clock.moment, everything(store.latest())))
        clock.moment += timedelta(days=1)
    for moment, rows in seen:
        assert same(everything(store.as_of(moment)), rows)
        assert same(everything(store.as_of(moment + timedelta(minutes=5))), rows)
    with pytest.raises(FeatureTableError, match=r"no version of 2001-.* the oldest kept is of"):
        store.as_of(datetime(2001, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="no time zone"):
        store.as_of(datetime(2026, 1, 1))  # noqa: DTZ001


def test_clean_up_lets_old_versions_go_and_keeps_what_is_tagged(own_market: Settings) -> None:
    clock = Hand(datetime.now(UTC) + timedelta(days=1))
    store, dataset = FeatureStore(own_market, clock=clock), indicator_dataset(own_market)
    frames = {}
    for _ in range(4):
        change(dataset, MONTH, dataset.read([MONTH]).with_columns(pl.col("obv") + 1))
        number = store.refresh().version
        frames[number] = everything(store.latest())
        clock.moment += timedelta(days=20)
    second = sorted(frames)[1]
    kept = next(v for v in store.versions() if v.number == second)
    store.tag("model-1", store.as_of(kept.published_at))
    assert store.tags() == {"model-1": second}
    assert same(everything(store.tagged("model-1")), frames[second])
    clock.moment += timedelta(days=1)
    report = store.compact()
    assert report.rewritten
    assert second not in report.removed
    assert sorted(frames)[0] in report.removed
    assert same(everything(store.tagged("model-1")), frames[second])
    latest = store.latest()
    assert latest is not None
    assert same(everything(latest), frames[max(frames)])
    assert all(
        same(everything(store.as_of(v.published_at)), frames.get(v.number, frames[max(frames)]))
        for v in store.versions()
    )
    again = store.compact()
    assert (again.rewritten, again.removed) == (False, ())
    with pytest.raises(FeatureTableError, match="no tag 'modl-1'; did you mean 'model-1'"):
        store.tagged("modl-1")
    store.untag("model-1")
    clock.moment += timedelta(days=40)
    assert second in store.compact().removed
    assert same(everything(store.latest()), frames[max(frames)])


def test_clean_up_gives_the_room_back(own_market: Settings) -> None:
    clock = Hand(datetime.now(UTC) + timedelta(days=1))
    store, dataset = FeatureStore(own_market, clock=clock), indicator_dataset(own_market)
    for _ in range(5):
        for month in dataset.months():
            change(dataset, month, dataset.read([month]).with_columns(pl.col("obv") + 1))
        store.refresh()
        clock.moment += timedelta(days=1)
    clock.moment += timedelta(days=60)
    report = store.compact()
    assert report.bytes[1] < report.bytes[0] / 3
    assert len(store.versions()) == 1


def test_names_that_are_no_tags_are_refused(own_market: Settings) -> None:
    store = FeatureStore(own_market)
    for name in ("", "publication-000001"):
        with pytest.raises(FeatureTableError, match="is no name for a tag"):
            store.tag(name)


def test_store_without_rows_says_so(tmp_path) -> None:
    store = FeatureStore(Settings(home=tmp_path))
    assert store.latest() is None
    assert store.stale_months() == []
    assert store.refresh().months == ()
    assert store.compact().files == (0, 0)
    assert store.tags() == {}
    with pytest.raises(FeatureTableError, match="nothing was published yet"):
        store.tag("mine")
    with pytest.raises(FeatureTableError, match="there is none"):
        store.as_of(START)


def test_damaged_publication_is_named(own_market: Settings) -> None:
    store = FeatureStore(own_market)
    number = store.versions()[-1].number
    path = own_market.lake / "features" / "publications" / f"{number:06d}.json"
    path.write_text("{}")
    with pytest.raises(FeatureTableError, match="is no publication"):
        FeatureStore(own_market).latest()


def test_indicators_are_rebuilt_bit_for_bit_from_the_first_bar(own_market: Settings) -> None:
    before = everything(FeatureStore(own_market).latest())
    for month in ("2019-03", "2020-05"):
        indicator_dataset(own_market).remove(month)
    build_table(own_market)
    assert same(everything(FeatureStore(own_market).latest()), before)
    assert np.isfinite(before["rsi_14"].to_numpy()).mean() > 0.9
