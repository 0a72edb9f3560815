"""Alpha158 against Qlib's own handler over a provider that a second writer wrote."""

import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from qlib.contrib.data.loader import Alpha158DL

from qlops_assets.core.errors import FactorError, UnknownEntryError
from qlops_assets.core.settings import Settings
from qlops_assets.factors import alpha158 as alpha158_module
from qlops_assets.factors.alpha158 import alpha158, alpha158_expressions
from qlops_assets.factors.engine import evaluate
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets_tests.support.market import DELISTED, LATE, LEFT_OUT, SPLIT, market_days
from qlops_assets_tests.support.plain_provider import write_plain_provider

CODES = [LATE, DELISTED, LEFT_OUT, SPLIT]
DAYS = market_days()


@pytest.fixture(scope="module")
def bars(market: Settings) -> pl.DataFrame:
    return bars_dataset(market).read().filter(pl.col("instrument").is_in(CODES))


@pytest.fixture(scope="module")
def factors(bars: pl.DataFrame) -> pl.DataFrame:
    return alpha158(bars)


@pytest.fixture(scope="module")
def handler(bars: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return Qlib's own handler, loaded from the second writer's provider."""
    provider = write_plain_provider(tmp_path_factory.mktemp("plain") / "provider", bars)
    with qlib_session(provider):
        from qlib.contrib.data.handler import Alpha158

        return Alpha158(instruments="all", infer_processors=[], learn_processors=[])


def test_alpha158_equals_qlibs_handler_bit_for_bit_nan_for_nan(
    factors: pl.DataFrame, handler: Any
) -> None:
    expected = handler.fetch(col_set="feature").sort_index(level=["instrument", "datetime"])
    codes = expected.index.get_level_values("instrument").to_list()
    days = expected.index.get_level_values("datetime").date.tolist()
    assert factors["instrument"].to_list() == codes
    assert factors["date"].to_list() == days
    ours = factors.drop("instrument", "date").to_numpy()
    np.testing.assert_array_equal(ours, expected.to_numpy(dtype=np.float32))  # NaN equals NaN
    assert 0.01 < np.isnan(ours).mean() < 0.3


def test_alpha158_names_and_order_are_qlibs(factors: pl.DataFrame, handler: Any) -> None:
    names = handler.get_cols(col_set="feature")
    assert factors.columns == ["instrument", "date", *names]
    assert len(names) == 158
    assert list(alpha158_expressions()) == names
    assert set(factors.drop("instrument", "date").dtypes) == {pl.Float32}


def test_definitions_are_qlibs_and_its_import_is_not_waited_for() -> None:
    fields, names = Alpha158DL.get_feature_config()
    assert alpha158_expressions() == dict(zip(names, fields, strict=True))
    asked = "alpha158.alpha158_expressions(); print('qlib' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; from qlops_assets.factors import alpha158; {asked}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout == "False\n"


@pytest.mark.parametrize("missing", ["contrib/data/none.py", "contrib/data/handler.py"])
def test_definitions_that_are_elsewhere_in_qlib_are_imported(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    alone = alpha158_module._alone
    monkeypatch.setattr(alpha158_module, "_alone", lambda _, *names: alone(missing, *names))
    with pytest.raises((LookupError, OSError)):
        alpha158_module._alone("", "Alpha158DL", "get_feature_config")
    assert alpha158_expressions.__wrapped__() == alpha158_expressions()


def test_alpha158_has_qlibs_rows_for_days_that_the_source_left_out(
    bars: pl.DataFrame, factors: pl.DataFrame
) -> None:
    own = factors.filter(pl.col("instrument") == LEFT_OUT)
    assert own["date"].to_list() == DAYS
    assert own.height == bars.filter(pl.col("instrument") == LEFT_OUT).height + 14
    by_code = factors.group_by("instrument").agg(pl.col("date").min().alias("a"), b=pl.max("date"))
    edges = {code: (first, last) for code, first, last in by_code.iter_rows()}
    assert edges[LATE] == (DAYS[150], DAYS[-1])
    assert edges[DELISTED] == (DAYS[0], DAYS[299])


# 195 and 205 are in and after the days that are left out, 265 has them in its look-back alone.
@pytest.mark.parametrize("place", [30, 195, 205, 265])
def test_alpha158_since_a_day_equals_the_tail_of_the_whole(
    bars: pl.DataFrame, factors: pl.DataFrame, place: int
) -> None:
    since = DAYS[place]
    tail = alpha158(bars, since=since)
    whole = factors.filter(pl.col("date") >= since)
    assert tail.columns == whole.columns
    assert tail.select("instrument", "date").equals(whole.select("instrument", "date"))
    # pandas accumulates its rolling sums from the first row it is given. On 20 real instruments
    # this moved one of 2.4 million cells, by one unit in the last place of a float32 (6e-8).
    np.testing.assert_allclose(
        tail.drop("instrument", "date").to_numpy(),
        whole.drop("instrument", "date").to_numpy(),
        rtol=1e-6,
        atol=1e-9,
    )


def test_alpha158_since_a_day_after_a_gap_longer_than_the_windows_keeps_qlibs_rows(
    bars: pl.DataFrame, factors: pl.DataFrame
) -> None:
    gone = (pl.col("instrument") == SPLIT) & pl.col("date").is_between(DAYS[200], DAYS[299])
    sparse = bars.filter(~gone)
    whole = alpha158(sparse).filter(pl.col("date") >= DAYS[280])
    tail = alpha158(sparse, since=DAYS[280])
    assert tail.select("instrument", "date").equals(whole.select("instrument", "date"))
    np.testing.assert_allclose(
        tail.drop("instrument", "date").to_numpy(),
        whole.drop("instrument", "date").to_numpy(),
        rtol=1e-6,
        atol=1e-9,
    )


def test_alpha158_since_a_day_after_the_last_has_no_rows_and_all_columns(
    bars: pl.DataFrame, factors: pl.DataFrame
) -> None:
    tail = alpha158(bars.filter(pl.col("instrument") == SPLIT), since=date(2030, 1, 1))
    assert tail.is_empty()
    assert tail.columns == factors.columns


def test_engine_that_is_unknown_names_the_known(bars: pl.DataFrame) -> None:
    with pytest.raises(UnknownEntryError, match=r"factor engine 'qlip'.*Known: native, qlib"):
        alpha158(bars, engine="qlip")


@pytest.mark.parametrize("since", [None, DAYS[100]])
def test_bars_frame_without_a_required_column_is_refused(
    bars: pl.DataFrame, since: date | None
) -> None:
    with pytest.raises(FactorError, match="needs date, volume too"):
        alpha158(bars.drop("volume", "date"), since=since)


def test_bars_frame_without_rows_is_refused(bars: pl.DataFrame) -> None:
    with pytest.raises(FactorError, match="has no row"):
        alpha158(bars.clear(), since=DAYS[0])


def test_bars_frame_without_vwap_is_refused_by_the_factor_that_uses_it(bars: pl.DataFrame) -> None:
    with pytest.raises(FactorError, match=r"'VWAP0': unknown field '\$vwap'; the fields are"):
        alpha158(bars.drop("vwap"))


def test_expression_over_an_unknown_field_is_refused(bars: pl.DataFrame) -> None:
    with pytest.raises(FactorError, match=r"factor 'typo': unknown field '\$clsoe'"):
        evaluate({"good": "$close", "typo": "Mean($clsoe, 5)"}, bars)


def test_no_expressions_are_refused(bars: pl.DataFrame) -> None:
    with pytest.raises(FactorError, match="at least one"):
        evaluate({}, bars)


def test_factors_come_in_the_order_asked_for_and_equal_a_hand_written_loop() -> None:
    close = [10.0, 11.0, 12.1, 11.0, 11.0, 13.2]
    days = DAYS[: len(close)]
    frame = pl.DataFrame(
        {"instrument": "A", "date": days, "volume": 100.0, "vwap": close}
        | dict.fromkeys(("open", "high", "low", "close"), close)
    )
    result = evaluate({"Z": "Mean($close, 3)/$close", "A": "Ref($close, 2)", "F": "$factor"}, frame)
    assert result.columns == ["instrument", "date", "Z", "A", "F"]
    for place, price in enumerate(close):
        window = close[max(0, place - 2) : place + 1]
        assert result["Z"][place] == pytest.approx(sum(window) / len(window) / price, rel=1e-6)
        assert place < 2 or result["A"][place] == pytest.approx(close[place - 2])
        assert result["F"][place] == 1.0


def test_change_is_over_the_last_traded_close() -> None:
    close = [10.0, None, 12.0, 9.0]
    frame = pl.DataFrame(
        {"instrument": "A", "date": DAYS[:4], "volume": [1.0, 0.0, 1.0, 1.0]}
        | dict.fromkeys(("open", "high", "low", "close", "vwap"), close)
    )
    change = evaluate({"change": "$change"}, frame)["change"].to_list()
    assert np.isnan(change[:2]).all()
    assert change[2:] == pytest.approx([0.2, -0.25])


def test_temporary_provider_is_removed(
    bars: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    evaluate({"C": "$close"}, bars)
    assert list(tmp_path.iterdir()) == []
