import json
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlops_assets.core.errors import CorruptPartitionError, DatasetMissingError, LakeError
from qlops_assets.lake.datasets import MonthlyDataset, by_month, content_digest

DAYS = [date(2020, 1, day) for day in range(1, 32)]
SOME_NUMBER = st.one_of(st.none(), st.floats(width=32))


def frame_of(rows: list[tuple[str, date, float | None, float | None]]) -> pl.DataFrame:
    schema = {"instrument": pl.String, "date": pl.Date, "x": pl.Float64, "y": pl.Float32}
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.fixture
def dataset(tmp_path: Path) -> MonthlyDataset:
    return MonthlyDataset(tmp_path / "things", "things")


def rows_of_january(count: int = 3) -> pl.DataFrame:
    return frame_of([("A", DAYS[n], float(n), None) for n in range(count)])


rows = st.lists(
    st.tuples(st.sampled_from(["A", "B", "AB"]), st.sampled_from(DAYS), SOME_NUMBER, SOME_NUMBER),
    min_size=1,
    unique_by=lambda row: row[:2],
)


@settings(max_examples=60, deadline=None)
@given(rows=rows, chance=st.randoms())
def test_digest_of_shuffled_or_recompressed_rows_is_the_same(
    tmp_path_factory, rows, chance
) -> None:
    folder = tmp_path_factory.mktemp("digest")
    dataset = MonthlyDataset(folder, "things")
    first = dataset.write("2020-01", frame_of(rows), inputs="i", code="c")
    shuffled = chance.sample(rows, len(rows))
    assert dataset.write("2020-01", frame_of(shuffled), inputs="i", code="c").digest == first.digest
    again = folder / "again.parquet"
    pq.write_table(pq.read_table(first.path), again, compression="gzip", row_group_size=3)
    assert content_digest(pl.read_parquet(again)) == first.digest


@settings(max_examples=60, deadline=None)
@given(rows=rows, data=st.data())
def test_digest_of_one_other_value_differs(rows, data) -> None:
    frame = frame_of(rows).sort("instrument", "date")
    at = data.draw(st.integers(0, frame.height - 1))
    old = frame["x"][at]
    new = data.draw(SOME_NUMBER.filter(lambda value: not same(value, old)))
    values = frame["x"].to_list()
    values[at] = new
    changed = frame.with_columns(x=pl.Series(values, dtype=pl.Float64))
    assert content_digest(changed) != content_digest(frame)


def same(one: float | None, other: float | None) -> bool:
    missing = [value is None or value != value for value in (one, other)]  # noqa: PLR0124 - NaN
    return all(missing) if any(missing) else one == other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["ab", "c"], ["a", "bc"]),
        (["", "a"], ["a", ""]),
        ([None, "a"], ["", "a"]),
        (["a", None], [None, "a"]),
    ],
)
def test_digest_of_texts_that_join_alike_differs(
    one: list[str | None], other: list[str | None]
) -> None:
    assert content_digest(pl.DataFrame({"t": one})) != content_digest(pl.DataFrame({"t": other}))


def test_digest_counts_nan_as_null_and_minus_zero_as_zero() -> None:
    one = pl.DataFrame({"x": [float("nan"), -0.0]})
    other = pl.DataFrame({"x": [None, 0.0]}, schema={"x": pl.Float64})
    assert content_digest(one) == content_digest(other)


def test_digest_is_what_it_always_was() -> None:
    """Digests are kept in every home: another way to compute them must not change one."""
    frame = pl.DataFrame(
        {
            "instrument": ["a", "b"],
            "date": ["x", None],
            "p": [1.0, None],
            "q": pl.Series([1, float("nan")], dtype=pl.Float32),
            "i": [1, 2],
            "r": [-0.0, 2.0],
        }
    )
    assert content_digest(frame) == "f86fe0c172ca88df76e0842a216ad3e0"


def test_digest_of_categories_is_that_of_their_text() -> None:
    texts = pl.DataFrame({"t": ["b", "a", "b"]})
    assert content_digest(texts.cast(pl.Categorical)) == content_digest(texts)


def test_digest_depends_on_column_names_and_types() -> None:
    frame = pl.DataFrame({"x": [1.0]})
    digests = {content_digest(f) for f in (frame, frame.rename({"x": "y"}), frame.cast(pl.Float32))}
    assert len(digests) == 3


def test_write_sorts_rows_and_turns_nan_into_null(dataset: MonthlyDataset) -> None:
    frame = frame_of(
        [("B", DAYS[0], float("nan"), 1.0), ("A", DAYS[1], 2.0, None), ("A", DAYS[0], 1.0, 1.0)]
    )
    dataset.write("2020-01", frame, inputs="i", code="c")
    read = dataset.read()
    assert read.select("instrument", "date").rows() == [
        ("A", DAYS[0]),
        ("A", DAYS[1]),
        ("B", DAYS[0]),
    ]
    assert read["x"].to_list() == [1.0, 2.0, None]


def test_write_then_info_says_the_same(dataset: MonthlyDataset) -> None:
    written = dataset.write("2020-01", rows_of_january(), inputs="in", code="co")
    assert dataset.info("2020-01") == written
    assert (written.inputs, written.code, written.rows) == ("in", "co", 3)
    assert written.bytes == written.path.stat().st_size
    facts = json.loads(pq.read_metadata(written.path).metadata[b"qlops"])
    assert facts["digest"] == written.digest


def test_write_of_another_months_row_is_refused(dataset: MonthlyDataset) -> None:
    with pytest.raises(LakeError, match="2020-02 was given rows of 2020-01-01"):
        dataset.write("2020-02", rows_of_january(), inputs="i", code="c")
    assert dataset.months() == []


def test_write_of_a_repeated_key_is_refused(dataset: MonthlyDataset) -> None:
    twice = pl.concat([rows_of_january(), rows_of_january(1)])
    with pytest.raises(LakeError, match="1 repeated keys, the first A 2020-01-01"):
        dataset.write("2020-01", twice, inputs="i", code="c")


def test_months_ignores_files_of_other_names(dataset: MonthlyDataset) -> None:
    dataset.write("2020-01", rows_of_january(), inputs="i", code="c")
    for name in (
        ".2020-02.parquet.1a2b.tmp",
        "2020-13.parquet",
        "notes.txt",
        "2020-02.parquet.bak",
    ):
        (dataset.folder / name).write_bytes(b"x")
    assert dataset.months() == ["2020-01"]
    assert list(dataset.infos()) == ["2020-01"]


def test_info_of_a_missing_month_is_none(dataset: MonthlyDataset) -> None:
    assert dataset.info("2020-01") is None


@pytest.mark.parametrize("damage", ["truncated", "foreign", "empty"])
def test_info_of_a_damaged_month_names_the_file(dataset: MonthlyDataset, damage: str) -> None:
    path = dataset.write("2020-01", rows_of_january(), inputs="i", code="c").path
    if damage == "foreign":
        rows_of_january().write_parquet(path)
    else:
        path.write_bytes(path.read_bytes()[: 60 if damage == "truncated" else 0])
    with pytest.raises(CorruptPartitionError, match=r"2020-01\.parquet.*re-materialize"):
        dataset.info("2020-01")
    assert dataset.stale({"2020-01": "i"}, "c") == ["2020-01"]


def test_read_of_a_damaged_month_names_the_file(dataset: MonthlyDataset) -> None:
    dataset.write(
        "2020-02",
        rows_of_january().with_columns(pl.col("date").dt.offset_by("1mo")),
        inputs="i",
        code="c",
    )
    path = dataset.write("2020-01", rows_of_january(), inputs="i", code="c").path
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(CorruptPartitionError, match=r"2020-01\.parquet"):
        dataset.read()


@pytest.mark.parametrize("record", ["not JSON", '{"digest": "d", "unheard_of": 1}', "[]"])
def test_record_of_another_shape_is_a_damaged_month(dataset: MonthlyDataset, record: str) -> None:
    path = dataset.write("2020-01", rows_of_january(), inputs="i", code="c").path
    pl.read_parquet(path).write_parquet(path, metadata={"qlops": record})
    with pytest.raises(CorruptPartitionError, match="no record of its content"):
        dataset.info("2020-01")
    assert dataset.stale({"2020-01": "i"}, "c") == ["2020-01"]


def test_verify_of_altered_rows_raises(dataset: MonthlyDataset) -> None:
    info = dataset.write("2020-01", rows_of_january(), inputs="i", code="c")
    assert dataset.verify("2020-01") == info
    altered = dataset.read().with_columns(x=pl.col("x") + 1)
    altered.write_parquet(info.path, metadata=pl.read_parquet_metadata(info.path))
    with pytest.raises(CorruptPartitionError, match="differ from its digest"):
        dataset.verify("2020-01")


def test_stale_lists_missing_and_differently_made_months(dataset: MonthlyDataset) -> None:
    dataset.write("2020-01", rows_of_january(), inputs="i", code="c")
    assert dataset.stale({"2020-01": "i"}, "c") == []
    assert dataset.stale({"2020-01": "j"}, "c") == ["2020-01"]
    assert dataset.stale({"2020-01": "i"}, "d") == ["2020-01"]
    assert dataset.stale({"2020-03": "i", "2020-02": "i", "2020-01": "i"}, "c") == [
        "2020-02",
        "2020-03",
    ]


def test_remove_forgets_the_month_and_may_be_repeated(dataset: MonthlyDataset) -> None:
    dataset.write("2020-01", rows_of_january(), inputs="i", code="c")
    dataset.remove("2020-01")
    dataset.remove("2020-01")
    assert dataset.months() == []


@pytest.fixture
def quarter(dataset: MonthlyDataset) -> MonthlyDataset:
    for month in (1, 2, 3):
        days = [date(2020, month, day) for day in (1, 15, 28)]
        frame = frame_of([(code, day, float(month), 0.0) for code in "BA" for day in days])
        dataset.write(f"2020-{month:02d}", frame, inputs="i", code="c")
    return dataset


def test_read_is_sorted_across_months(quarter: MonthlyDataset) -> None:
    keys = quarter.read().select("instrument", "date").rows()
    assert len(keys) == 18
    assert keys == sorted(keys)


def test_read_bounds_are_inclusive(quarter: MonthlyDataset) -> None:
    read = quarter.read(first=date(2020, 1, 28), last=date(2020, 3, 1))
    assert sorted(set(read["date"])) == [
        date(2020, 1, 28), date(2020, 2, 1), date(2020, 2, 15), date(2020, 2, 28), date(2020, 3, 1),
    ]  # fmt: skip


def test_read_beyond_the_data_is_empty_with_its_columns(quarter: MonthlyDataset) -> None:
    read = quarter.read(first=date(2021, 1, 1))
    assert (read.height, read.columns) == (0, ["instrument", "date", "x", "y"])


def test_read_columns_keeps_the_key_and_the_order_asked_for(quarter: MonthlyDataset) -> None:
    assert quarter.read(["2020-02"], columns=["y", "x"]).columns == ["instrument", "date", "y", "x"]


def test_read_of_an_unknown_column_says_so(quarter: MonthlyDataset) -> None:
    with pytest.raises(LakeError, match=r"things: no such column.*nosuch"):
        quarter.read(columns=["nosuch"])


def test_read_of_a_missing_month_names_it(quarter: MonthlyDataset) -> None:
    with pytest.raises(
        DatasetMissingError, match="things: no data for 2020-04; materialize things"
    ):
        quarter.read(["2020-03", "2020-04"])


def test_read_of_an_empty_dataset_says_so(dataset: MonthlyDataset) -> None:
    with pytest.raises(DatasetMissingError, match="things: no data for any month"):
        dataset.read()
    with pytest.raises(DatasetMissingError):
        dataset.scan()


def test_scan_is_every_row(quarter: MonthlyDataset) -> None:
    assert quarter.scan().select(pl.len()).collect().item() == 18


@given(
    st.lists(
        st.tuples(st.sampled_from("AB"), st.none() | st.dates(date(2019, 11, 1), date(2020, 3, 1))),
        max_size=30,
    )
)
def test_rows_by_month_are_those_of_a_loop(keys: list[tuple[str, date | None]]) -> None:
    expected: dict[str, list[tuple[str, date | None, int]]] = {}
    for place, (code, day) in enumerate(keys):
        if day is not None:
            expected.setdefault(f"{day:%Y-%m}", []).append((code, day, place))
    schema = {"instrument": pl.String, "date": pl.Date}
    rows = pl.DataFrame(keys, schema, orient="row").with_row_index("place")
    found = by_month(rows.select("instrument", "date", "place"))
    assert list(found) == sorted(expected)
    assert {month: part.rows() for month, part in found.items()} == expected
