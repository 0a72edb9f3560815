"""Stored rows against Qlib's: what agrees, and that what does not is found where it is."""

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.settings import Settings
from qlops_assets.factors.agreement import (
    Cell,
    check_agreement,
    compared,
    sampled,
    stored_seed,
)
from qlops_assets.factors.sets import CUSTOM, FactorSet, alpha158_set
from qlops_assets.factors.store import build_factors, factor_dataset
from qlops_assets_tests.support.market import FEW, LATE, LEFT_OUT, market_days

ALPHA158 = alpha158_set()
DAYS = market_days()
OWN = FactorSet(
    CUSTOM,
    {
        "SLOW": "EMA($close,30)/$close",
        "MOVE": "Std($change,10)",
        "OTHER": f"$close/Mask($close,'{LATE}')",
        "ALL": "Sum($volume,0)",
        "RATIO": "$close/($close-$open-$close+$open)",  # infinite
    },
)


def change(settings: Settings, factors: FactorSet, month: str, rows: pl.DataFrame) -> None:
    """Rewrite a month of rows as if they had been computed so."""
    dataset = factor_dataset(settings, factors.name)
    info = dataset.info(month)
    assert info is not None
    dataset.write(month, rows, inputs=info.inputs, code=info.code)


def with_cell(
    rows: pl.DataFrame, instrument: str, day: date, factor: str, value: float | None
) -> pl.DataFrame:
    here = (pl.col("instrument") == instrument) & (pl.col("date") == day)
    new = pl.lit(value, pl.Float32)
    return rows.with_columns(pl.when(here).then(new).otherwise(pl.col(factor)).alias(factor))


def test_alpha158_that_was_computed_agrees(few: Settings) -> None:
    months = ["2019-10", "2020-08"]
    found = check_agreement(few, ALPHA158, months, seed="any")
    rows = factor_dataset(few, "alpha158").read(months).height
    assert found.agrees
    assert found.months == tuple(months)
    assert set(found.instruments) == set(FEW)
    assert (found.cells, found.violations, found.nan_mismatches) == (158 * rows, 0, 0)
    assert str(found) == f"{158 * rows:,} values of 4 instruments in 2019-10, 2020-08 are Qlib's"


def test_own_factors_agree_where_they_remember_all_history(own_few: Settings) -> None:
    build_factors(own_few, OWN, ["2020-08"])
    found = check_agreement(own_few, OWN, ["2020-08"], seed="any")
    assert found.agrees, str(found)
    assert found.cells == 5 * factor_dataset(own_few, CUSTOM).read(["2020-08"]).height


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.5, "0.5, Qlib has"), (None, "none, Qlib has"), (float("inf"), "inf, Qlib has")],
)
def test_one_changed_cell_is_found_where_it_is(
    own_few: Settings, value: float | None, said: str
) -> None:
    day = DAYS[-5]
    rows = factor_dataset(own_few, "alpha158").read(["2020-08"])
    change(own_few, ALPHA158, "2020-08", with_cell(rows, "SH600000", day, "MA20", value))
    found = check_agreement(own_few, ALPHA158, ["2020-07", "2020-08"], seed="any")
    assert not found.agrees
    assert found.violations == 1
    assert found.nan_mismatches == (value is None)
    (cell,) = found.worst
    assert (cell.factor, cell.instrument, cell.date, cell.ours) == ("MA20", "SH600000", day, value)
    assert cell.qlib is not None
    assert 0.8 < cell.qlib < 1.2
    assert f"1 of {found.cells:,} values" in str(found)
    assert said in str(found)


def test_value_where_qlib_has_none_is_found(own_few: Settings) -> None:
    rows = factor_dataset(own_few, "alpha158").read(["2019-10"])
    gap = rows.filter(pl.col("instrument") == LEFT_OUT, pl.col("KMID").is_null())["date"][0]
    change(own_few, ALPHA158, "2019-10", with_cell(rows, LEFT_OUT, gap, "KMID", 0.0))
    found = check_agreement(own_few, ALPHA158, ["2019-10"], seed="any")
    assert (found.violations, found.nan_mismatches) == (1, 1)
    assert found.worst == (Cell("KMID", LEFT_OUT, gap, 0.0, None),)


def test_row_that_only_one_side_has_is_found(own_few: Settings) -> None:
    rows = factor_dataset(own_few, "alpha158").read(["2020-08"])
    change(own_few, ALPHA158, "2020-08", rows[1:])
    lost = rows.row(0, named=True)
    found = check_agreement(own_few, ALPHA158, ["2020-08"], seed="any")
    assert not found.agrees
    assert found.violations == 0
    assert found.rows_differ == (f"{lost['instrument']} {lost['date']}",)
    assert "rows are on one side only" in str(found)


def test_look_back_that_is_too_short_is_found(own_few: Settings) -> None:
    """Rows as an engine would give them that reads the month alone."""
    from qlops_assets.factors.engine import evaluate
    from qlops_assets.lake.datasets import bars_dataset

    short = FactorSet(CUSTOM, {"MEAN": "Mean($close,20)/$close"})
    build_factors(own_few, short, ["2020-08"])
    alone = evaluate(short.expressions, bars_dataset(own_few).read(["2020-08"]))
    change(own_few, short, "2020-08", alone)
    assert not check_agreement(own_few, short, ["2020-08"], seed="any").agrees


def test_tolerance_is_absolute_and_relative() -> None:
    qlib = np.array([0.0, 0.0, 100.0, 100.0, -100.0, np.inf, np.nan], np.float32)
    ours = np.array([1e-5, 2e-5, 100.01, 100.02, -100.02, np.inf, np.nan], np.float32)
    keys = {"instrument": list("ABCDEFG"), "date": [date(2020, 1, 2)] * 7}
    found = compared(
        pl.DataFrame({**keys, "f": ours}), pl.DataFrame({**keys, "f": qlib}), ["2020-01"], ["A"]
    )
    assert found.cells == 7
    assert sorted(cell.instrument for cell in found.worst) == ["B", "D", "E"]
    assert found.violations == 3


def test_worst_cells_come_first_and_are_few() -> None:
    keys = {"instrument": [f"A{n:02}" for n in range(40)], "date": [date(2020, 1, 2)] * 40}
    qlib = pl.DataFrame({**keys, "f": [1.0] * 40})
    ours = pl.DataFrame({**keys, "f": [1.0 + n for n in range(39)] + [None]})
    found = compared(ours, qlib, ["2020-01"], ["A00"])
    assert found.violations == 39
    assert [cell.instrument for cell in found.worst] == [
        "A39",
        *(f"A{n}" for n in range(38, 29, -1)),
    ]


def test_sample_follows_from_the_content_of_the_months(few: Settings) -> None:
    codes = [f"SH6000{n:02}" for n in range(40)]
    assert sampled(codes, seed="a") == sampled(reversed(codes), seed="a")
    assert sampled(codes, seed="a") != sampled(codes, seed="b")
    assert len(sampled(codes, seed="a")) == 6
    one, other = (stored_seed(few, ALPHA158, [month]) for month in ("2020-07", "2020-08"))
    assert one == stored_seed(few, ALPHA158, ["2020-07"])
    assert one != other


def test_of_many_months_the_newest_and_one_more_are_looked_at(few: Settings) -> None:
    months = factor_dataset(few, "alpha158").months()
    seen = {check_agreement(few, ALPHA158, months, seed=str(n)).months for n in range(3)}
    assert {len(pair) for pair in seen} == {2}
    assert {pair[-1] for pair in seen} == {"2020-08"}
    assert len(seen) > 1


def test_nothing_stored_is_nothing_to_compare(few: Settings) -> None:
    found = check_agreement(few, OWN, ["2020-08"], seed="any")
    assert found.agrees
    assert (found.cells, found.months) == (0, ())


def test_check_leaves_no_file_behind(own_few: Settings) -> None:
    engine = replace(own_few, features=replace(own_few.features, engine="native"))
    check_agreement(engine, ALPHA158, ["2020-08"], seed="any")
    assert list((own_few.lake / "qlib").glob(".agreement*")) == []
