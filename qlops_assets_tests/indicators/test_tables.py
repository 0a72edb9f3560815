"""What TA-Lib does not have: tables computed by hand, and the formulas as loops."""

import itertools
import math
import statistics
from collections.abc import Callable, Sequence

import polars as pl
import pytest

from qlops_assets.indicators.apply import indicators
from qlops_assets.indicators.names import column
from qlops_assets_tests.support.indicator_bars import HALTED, drawn, traded, walks

Row = dict[str, float]
Values = Sequence[float | None]
NONE = None


def values(bars: pl.DataFrame, name: str) -> list[float | None]:
    return indicators(bars, [name])[name].to_list()


def assert_close(found: Values, expected: Values, *, within: float = 1e-12) -> None:
    assert [value is None for value in found] == [value is None for value in expected]
    there = [value for value in expected if value is not None]
    assert [value for value in found if value is not None] == pytest.approx(
        there, rel=within, abs=within
    )


# Typical prices 10, 12, 13, 11: (11 + 9 + 10) / 3 and so on.
PRICED = drawn(
    [10, 12, 12, 11],
    high=[11, 13, 15, 12],
    low=[9, 11, 12, 10],
    volume=[100, 300, 100, 200],
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # (10×100 + 12×300) / 400, (12×300 + 13×100) / 400, (13×100 + 11×200) / 300
        ("vwap_2", [NONE, 11.5, 12.25, 3500 / 300]),
        # (10×100 + 12×300 + 13×100) / 500, (12×300 + 13×100 + 11×200) / 600
        ("vwap_3", [NONE, NONE, 11.8, 7100 / 600]),
        # 1000 / 100, 4600 / 400, 5900 / 500, 8100 / 700
        ("vwap_cumulative", [10.0, 11.5, 11.8, 8100 / 700]),
    ],
)
def test_vwap_is_turnover_over_volume(name: str, expected: Values) -> None:
    assert_close(values(PRICED, name), expected)


@pytest.mark.parametrize(("name", "year"), [("hv_2", 252), ("hv_2_1", 1), ("hv_2_365", 365)])
def test_hv_is_the_sample_deviation_of_log_returns_a_year(name: str, year: int) -> None:
    # ln 1.1 = 0.09531017980432493, ln 0.9 = −0.10536051565782628: of two numbers the sample
    # deviation is their distance / √2.
    expected = 0.2006706954621512 / math.sqrt(2) * math.sqrt(year)
    assert_close(values(drawn([100, 110, 99]), name), [NONE, NONE, expected])


def test_hv_of_three_returns_is_that_of_the_table() -> None:
    # Returns a, b, a with a − b = 0.2006706954621512 = d: deviations d/3, −2d/3, d/3; their squares
    # are 6d²/9, over 3 − 1 = d²/3.
    expected = 0.2006706954621512 / math.sqrt(3) * math.sqrt(252)
    assert_close(values(drawn([100, 110, 99, 108.9]), "hv_3"), [NONE, NONE, NONE, expected])


def test_vix_fix_is_how_far_the_low_is_below_the_highest_close() -> None:
    bars = drawn([10, 12, 11, 9, 10], high=[13] * 5, low=[9, 11, 10.5, 8, 9.5])
    # Highest closes 12, 12, 11: 1.5 / 12, 4 / 12, 1.5 / 11.
    expected = [NONE, NONE, 12.5, 100 / 3, 150 / 11]
    assert_close(values(bars, "vix_fix_3"), expected)


SWINGING = drawn([10, 12, 13, 11, 9], high=[12, 13, 14, 14, 12], low=[9, 10, 11, 10, 8])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # RSV: (13 − 9) / (14 − 9) = 80 %, (11 − 10) / (14 − 10) = 25 %, (9 − 8) / (14 − 8) = 1/6.
        # K: 2/3 × 50 + 80/3 = 60, 2/3 × 60 + 25/3 = 145/3, 2/3 × 145/3 + 50/9 = 340/9.
        ("kdj_3_3_3_k", [60.0, 145 / 3, 340 / 9]),
        # D: 2/3 × 50 + 60/3 = 160/3, 2/3 × 160/3 + 145/9 = 155/3, 2/3 × 155/3 + 340/27 = 1270/27.
        ("kdj_3_3_3_d", [160 / 3, 155 / 3, 1270 / 27]),
        # J: 180 − 320/3, 145 − 310/3, 340/3 − 2540/27.
        ("kdj_3_3_3_j", [220 / 3, 125 / 3, 520 / 27]),
        # Weights of 1: K and D are RSV itself.
        ("kdj_3_1_1_k", [80.0, 25.0, 50 / 3]),
        ("kdj_3_1_1_d", [80.0, 25.0, 50 / 3]),
        # Weights of 1/2: K 65, 45, 30 5/6; D with 1/4: 53.75, 51.5625, 46.3802…
        ("kdj_3_2_4_k", [65.0, 45.0, 185 / 6]),
        ("kdj_3_2_4_d", [53.75, 51.5625, 0.75 * 51.5625 + 0.25 * 185 / 6]),
    ],
)
def test_kdj_begins_with_50_and_is_that_of_the_table(name: str, expected: Values) -> None:
    assert_close(values(SWINGING, name), [NONE, NONE, *expected])


def test_kdj_of_one_price_stays_50() -> None:
    for output in ("k", "d", "j"):
        assert_close(values(drawn([8.0] * 12), f"kdj_{output}"), [NONE] * 8 + [50.0] * 4)


def test_kdj_of_a_close_beyond_its_high_recovers() -> None:
    """RSV would be infinite on the third day; in an average it would stay for good."""
    high = [10.0, 10.0, 10.0, 12.0, 12.0]
    bars = drawn([10.0, 10.0, 11.0, 11.0, 11.0], high=high, low=[10.0] * 5)
    # RSV 50, then (11 − 10) / (12 − 10) = 50 % twice.
    assert_close(values(bars, "kdj_3_k"), [NONE, NONE, 50.0, 50.0, 50.0])


CLOUDY = drawn(
    [10, 11, 12, 12, 14, 15, 12, 16],
    high=[11, 12, 14, 13, 15, 16, 14, 18],
    low=[9, 10, 11, 11, 12, 13, 10, 14],
)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        # Middles of 2 days: (12 + 9) / 2, (14 + 10) / 2, (14 + 11) / 2, (15 + 11) / 2, …
        ("tenkan", [NONE, 10.5, 12.0, 12.5, 13.0, 14.0, 13.0, 14.0]),
        # Of 3 days: (14 + 9) / 2, (14 + 10) / 2, (15 + 11) / 2, (16 + 11) / 2, (16 + 10) / 2, …
        ("kijun", [NONE, NONE, 11.5, 12.0, 13.0, 13.5, 13.0, 14.0]),
        # 3 days later: (12 + 11.5) / 2, (12.5 + 12) / 2, (13 + 13) / 2.
        ("senkou_a", [NONE] * 5 + [11.75, 12.25, 13.0]),
        # Of 4 days, 3 days later: (14 + 9) / 2, (15 + 10) / 2.
        ("senkou_b", [NONE] * 6 + [11.5, 12.5]),
        # 12 / 10 − 1, 14 / 11 − 1, 15 / 12 − 1, 12 / 12 − 1, 16 / 14 − 1.
        ("chikou", [NONE] * 3 + [0.2, 3 / 11, 0.25, 0.0, 1 / 7]),
    ],
)
def test_ichimoku_is_that_of_the_table(output: str, expected: Values) -> None:
    assert_close(values(CLOUDY, f"ichimoku_2_3_4_{output}"), expected)


def test_ichimokus_spans_see_a_bar_26_days_after_it_and_the_lines_at_once() -> None:
    """The displacement: what is drawn at a day was computed 26 days before, never later."""
    flat = [10.0] * 140
    high = [*flat[:60], 30.0, *flat[61:]]
    found = indicators(
        drawn(flat, high=high, low=flat), [*column("ichimoku_kijun").indicator.variants]
    )
    seen = {
        name: [day for day, value in enumerate(found[name]) if value not in (None, 10.0)]
        for name in ("ichimoku_tenkan", "ichimoku_kijun", "ichimoku_senkou_a", "ichimoku_senkou_b")
    }
    assert seen == {
        "ichimoku_tenkan": list(range(60, 69)),
        "ichimoku_kijun": list(range(60, 86)),
        "ichimoku_senkou_a": list(range(86, 112)),
        "ichimoku_senkou_b": list(range(86, 138)),
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 2, 4, 4, 4, 5, 5, 7, 9: mean 5, squares 9+1+1+1+0+0+4+16 = 32 = 8 × 2². Bands 9 and 1.
        # The next day 2 comes for 2, so the bands stay: (2 − 1) / 8.
        ("bbands_8_2_upper", [9.0, 9.0]),
        ("bbands_8_2_lower", [1.0, 1.0]),
        ("bbands_8_2_width", [8 / 5, 8 / 5]),
        ("bbands_8_2_percent", [1.0, 1 / 8]),
        # 1.5 deviations: bands 8 and 2.
        ("bbands_8_1p5_width", [6 / 5, 6 / 5]),
        ("bbands_8_1p5_percent", [7 / 6, 0.0]),
    ],
)
def test_width_and_percent_of_the_bands_are_those_of_the_table(name: str, expected: Values) -> None:
    bars = drawn([2, 4, 4, 4, 5, 5, 7, 9, 2])
    assert_close(values(bars, name), [NONE] * 7 + [*expected])


def test_percent_of_bands_without_width_is_missing_and_their_width_0() -> None:
    bars = drawn([7.0] * 25)
    assert values(bars, "bbands_percent") == [NONE] * 25
    assert values(bars, "bbands_width") == [NONE] * 19 + [0.0] * 6


def test_halted_day_inside_a_table_has_no_value_and_moves_none() -> None:
    here = pl.int_range(pl.len())
    names = ("high", "low", "close", "volume")
    later = [NONE, 11.5, NONE, 12.25, 3500 / 300]
    parts = {name: PRICED[name].to_list() for name in names}
    bars = drawn(**{name: [*v[:2], v[1], *v[2:]] for name, v in parts.items()}).with_columns(
        pl.when(here == 2).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
        for name, value in HALTED.items()
    )
    assert_close(values(bars, "vwap_2"), later)


# The formulas as loops: a day's value from the rows up to it.


def typical(row: Row) -> float:
    return (row["high"] + row["low"] + row["close"]) / 3


def vwap(rows: Sequence[Row]) -> float:
    turnover = math.fsum(typical(row) * row["volume"] for row in rows)
    return turnover / math.fsum(row["volume"] for row in rows)


def middle(rows: Sequence[Row]) -> float:
    return (max(row["high"] for row in rows) + min(row["low"] for row in rows)) / 2


def looped_vwap(rows: list[Row], days: int) -> Values:
    return [vwap(rows[t - days + 1 : t + 1]) if t >= days - 1 else None for t in range(len(rows))]


def looped_cumulative(rows: list[Row]) -> Values:
    return [vwap(rows[: t + 1]) for t in range(len(rows))]


def looped_hv(rows: list[Row], days: int, year: int) -> Values:
    closes = [row["close"] for row in rows]
    found: list[float | None] = []
    for t in range(len(rows)):
        last = closes[t - days : t + 1]
        returns = [math.log(b / a) for a, b in itertools.pairwise(last)]
        full = t >= days
        found.append(statistics.stdev(returns) * math.sqrt(year) if full else None)
    return found


def looped_vix_fix(rows: list[Row], days: int) -> Values:
    found: list[float | None] = [None] * min(days - 1, len(rows))
    for t in range(days - 1, len(rows)):
        highest = max(row["close"] for row in rows[t - days + 1 : t + 1])
        found.append(100 * (highest - rows[t]["low"]) / highest)
    return found


def looped_kdj(output: str) -> Callable[..., Values]:
    def looped(rows: list[Row], days: int, slow_k: int, slow_d: int) -> Values:
        k = d = 50.0
        found: list[float | None] = [None] * min(days - 1, len(rows))
        for t in range(days - 1, len(rows)):
            window = rows[t - days + 1 : t + 1]
            low, high = min(r["low"] for r in window), max(r["high"] for r in window)
            rsv = 50.0 if high == low else 100 * (rows[t]["close"] - low) / (high - low)
            k += (rsv - k) / slow_k
            d += (k - d) / slow_d
            found.append({"k": k, "d": d, "j": 3 * k - 2 * d}[output])
        return found

    return looped


def looped_ichimoku(output: str) -> Callable[..., Values]:
    def looped(rows: list[Row], conversion: int, base: int, slow: int) -> Values:
        def line(t: int, days: int) -> float | None:
            return middle(rows[t - days + 1 : t + 1]) if t >= days - 1 else None

        def value(t: int) -> float | None:
            then = t - base
            tenkan, kijun = line(then, conversion), line(then, base)
            match output:
                case "tenkan":
                    return line(t, conversion)
                case "kijun":
                    return line(t, base)
                case "senkou_a":
                    return None if tenkan is None or kijun is None else (tenkan + kijun) / 2
                case "senkou_b":
                    return line(then, slow)
            return rows[t]["close"] / rows[then]["close"] - 1 if then >= 0 else None

        return [value(t) for t in range(len(rows))]

    return looped


def looped_bands(output: str) -> Callable[..., Values]:
    def looped(rows: list[Row], days: int, width: float) -> Values:
        found: list[float | None] = [None] * min(days - 1, len(rows))
        for t in range(days - 1, len(rows)):
            closes = [row["close"] for row in rows[t - days + 1 : t + 1]]
            mean, half = math.fsum(closes) / days, width * statistics.pstdev(closes)
            inside = (closes[-1] - mean + half) / (2 * half) if half else None
            found.append(2 * half / mean if output == "width" else inside)
        return found

    return looped


LOOPS: dict[str, Callable[..., Values]] = {
    "vwap": looped_vwap,
    "vwap_cumulative": looped_cumulative,
    "hv": looped_hv,
    "vix_fix": looped_vix_fix,
    **{f"kdj_{output}": looped_kdj(output) for output in "kdj"},
    **{
        f"ichimoku_{output}": looped_ichimoku(output)
        for output in ("tenkan", "kijun", "senkou_a", "senkou_b", "chikou")
    },
    **{f"bbands_{output}": looped_bands(output) for output in ("width", "percent")},
}
OF_LOOPS = (
    *("vwap_5", "vwap_20", "vwap_2", "vwap_cumulative", "hv_20", "hv_60", "hv_2", "hv_20_365"),
    *("vix_fix_22", "vix_fix_2", "kdj_k", "kdj_d", "kdj_j", "kdj_5_2_1_d", "kdj_2_1_7_j"),
    *("ichimoku_tenkan", "ichimoku_kijun", "ichimoku_senkou_a", "ichimoku_senkou_b"),
    *("ichimoku_chikou", "ichimoku_7_22_44_senkou_a", "ichimoku_30_5_9_senkou_a"),
    *("ichimoku_30_5_9_senkou_b", "bbands_width", "bbands_percent", "bbands_2_1_percent"),
)
BARS = walks(12, (260, 1, 2, 30, 90, 61), halted=0.1)
TICKS = walks(13, (150, 70), halted=0.2, tick=0.5)  # stands still for days


@pytest.mark.parametrize("bars", [BARS, TICKS], ids=["walks", "walks that stand still"])
def test_values_on_walks_with_halts_are_those_of_the_loops(bars: pl.DataFrame) -> None:
    found = indicators(bars, OF_LOOPS).filter(traded(bars)).partition_by("instrument")
    for given, ours in zip(
        bars.filter(traded(bars)).partition_by("instrument"), found, strict=True
    ):
        rows = given.rows(named=True)
        for name in OF_LOOPS:
            one = column(name)
            key = "_".join(filter(None, (one.indicator.name, one.output)))
            assert_close(ours[name].to_list(), LOOPS[key](rows, *one.values), within=1e-9)


def test_every_family_that_is_not_talibs_has_a_loop() -> None:
    looped = {column(name).indicator.name for name in OF_LOOPS}
    assert {"vwap", "vwap_cumulative", "hv", "vix_fix", "kdj", "ichimoku"} <= looped
