"""Mask and ChangeInstrument: another instrument's values, against Qlib."""

from typing import Final

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.errors import FactorError
from qlops_assets.factors.engine import evaluate
from qlops_assets_tests.support.odd_bars import DAYS, GONE, INDEX, LATE, NONE, ONE, SPIKES
from qlops_assets_tests.support.parity import KEY, agree, assert_same_bits, by_qlib

# Qlib lays two instruments' values side by side by day, and where their days differ in ways that
# pandas does not align (a comparison, the mask of Corr), it fails.
ALIGNED: Final = (
    f"Mask($close, '{INDEX}')",
    f"$close / Mask($close, '{INDEX}')",
    f"Mean($close / Mask($close, '{INDEX}'), 5)",
    f"EMA($close / Mask($close, '{INDEX}'), 5)",
    f"Cov($close, Mask($close, '{INDEX}'), 5)",
    f"Mean(Mask($close, '{INDEX}'), 10)",
    f"Rank($close - ChangeInstrument('{INDEX}', $close), 9)",
    f"Count($close / Mask($close, '{INDEX}'), 5)",
    f"Ref(Mask($close, '{INDEX}'), 1) / $close",
    f"Delta($close * Mask($close, '{INDEX}'), 3)",
    f"Slope($close / Mask($close, '{INDEX}'), 9)",
    f"Mask(If($close > 20, 1, 0), '{INDEX}') + $close",
    f"Greater($close, Mask($close, '{INDEX}'))",
    f"Mask(Mask($close, '{INDEX}'), 'PLAIN')",
    f"$close + Mask($close, '{LATE}')",
    f"Mean($close + Mask($close, '{LATE}'), 5)",
    f"Mask($close, '{ONE}') * 2",
    f"Mask($close, '{NONE}') * 2",
    f"Log(Mask($volume, '{LATE}'))",
    f"Std($close - Mask($close, '{GONE}'), 4)",
)
ON_WHOLE_DAYS: Final = (
    f"$close > Mask($close, '{INDEX}')",
    f"If($close > Mask($close, '{INDEX}'), $close, 2)",
    f"Corr($close/Ref($close,1), Mask($close/Ref($close,1), '{INDEX}'), 10)",
    f"IdxMax($close / Mask($close, '{INDEX}'), 5)",
    f"WMA($close - Mask($close, '{INDEX}'), 7)",
    f"Ref($close / Mask($close, '{INDEX}'), 0)",
    f"EMA($close / Mask($close, '{INDEX}'), 0)",
)
# An instrument listed later than the other is given the other's days, all NaN, before its own.
KNOWN_DEPARTURES_OF_QLIB: Final = {
    f"IdxMax($close / Mask($close, '{INDEX}'), 5)": "counts from a day before the first bar",
    f"WMA($close - Mask($close, '{INDEX}'), 7)": "weighs days before the first bar",
    f"Ref($close / Mask($close, '{INDEX}'), 0)": "takes the first day of the other, which is NaN",
    f"EMA($close / Mask($close, '{INDEX}'), 0)": "ages with days before the first bar",
}


def compared(texts: tuple[str, ...], bars: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both engines' values on our rows: Qlib adds those of the other instrument."""
    expressions = {text: text for text in texts}
    native = evaluate(expressions, bars)
    parts = [by_qlib({text: text}, bars) for text in texts]
    joined = native.select(KEY)
    for part in parts:
        joined = joined.join(part, on=KEY, how="left", maintain_order="left")
    return native, joined.with_columns(pl.selectors.float().fill_null(np.nan))


@pytest.fixture(scope="module")
def even(odd: pl.DataFrame) -> pl.DataFrame:
    """Bars without the spikes after which pandas' running sums keep too few digits."""
    return odd.filter(pl.col("instrument") != SPIKES)


def test_values_of_another_instrument_are_qlibs(even: pl.DataFrame) -> None:
    native, qlib = compared(ALIGNED, even)
    for text in ALIGNED:
        assert agree(native[text].to_numpy(), qlib[text].to_numpy()).all(), text


def test_values_of_another_instrument_are_qlibs_where_both_have_every_day(
    even: pl.DataFrame,
) -> None:
    whole = even.group_by("instrument").len().filter(len=80)["instrument"]
    native, qlib = compared(ON_WHOLE_DAYS, even.filter(pl.col("instrument").is_in(whole.implode())))
    for text in ON_WHOLE_DAYS:
        assert agree(native[text].to_numpy(), qlib[text].to_numpy()).all(), text


@pytest.mark.parametrize("text", KNOWN_DEPARTURES_OF_QLIB)
def test_instrument_listed_later_counts_its_own_days_only(odd: pl.DataFrame, text: str) -> None:
    native, qlib = compared((text,), odd)
    differ = ~agree(native[text].to_numpy(), qlib[text].to_numpy())
    assert set(native["instrument"].to_numpy()[differ]) in ({LATE}, {LATE, ONE})
    # What it is by definition: the quotient as a column of the instrument's own.
    close = odd.select("instrument", "date", own="close")
    index = close.filter(instrument=INDEX).select("date", index="own")
    meets = "-" if " - " in text else "/"
    joined = close.join(index, on="date", how="left", maintain_order="left")
    narrow = [pl.col(name).cast(pl.Float32) for name in ("own", "index")]
    value = narrow[0] - narrow[1] if meets == "-" else narrow[0] / narrow[1]
    bars = odd.with_columns(joined.select(close=value))
    plain = text.replace(f"$close {meets} Mask($close, '{INDEX}')", "$close")
    assert_same_bits(evaluate({text: plain}, bars), native)


def test_value_of_another_instrument_is_its_own_of_the_same_day(odd: pl.DataFrame) -> None:
    expressions = {
        "theirs": f"Mask(Mean($close, 5), '{LATE}')",
        "mine": "Mean($close, 5)",
        "mean": f"Mean(Mask($close, '{LATE}'), 5)",
        "changed": f"ChangeInstrument('{LATE}', Mean($close, 5))",
    }
    frame = evaluate(expressions, odd)
    own = frame.filter(instrument=LATE)
    assert own["theirs"].equals(own["mine"].alias("theirs"))
    mine = dict(own.select("date", "mine").iter_rows())
    for name in ("theirs", "mean", "changed"):
        for day, value in frame.select("date", name).iter_rows():
            np.testing.assert_array_equal(value, mine.get(day, np.nan))
    assert frame.filter(pl.col("date") < DAYS[40])["theirs"].is_nan().all()


@pytest.mark.parametrize("since", [None, DAYS[70], DAYS[79]])
def test_instrument_without_bars_is_refused_and_named(odd: pl.DataFrame, since: object) -> None:
    with pytest.raises(FactorError, match=r"'SH999999'.*no bars"):
        evaluate({"F": "$close / Mask($close, 'SH999999')"}, odd, since=since)  # type: ignore[arg-type]
