"""``qlops factor``: check, list, add, remove."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.factors.alpha158_names import ALPHA158_NAMES
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets_tests.cli.conftest import Qlops
from qlops_assets_tests.support.market_fixtures import few, market, shared_folder

__all__ = ["few", "market", "shared_folder"]

MOMENTUM = "$close/Ref($close,10)-1"


@pytest.fixture
def home(few: Settings, tmp_path: Path) -> Settings:
    """The bars of four instruments, in the home that the commands of a test mean."""
    source = f'[source]\npath = "{few.source_folder}"\n'
    (tmp_path / "qlops.toml").write_text(source, encoding="utf-8")
    settings = Settings.read(tmp_path / ".qlops", tmp_path / "qlops.toml")
    shutil.copytree(bars_dataset(few).folder, bars_dataset(settings).folder)
    return settings


def test_check_reads_an_expression_where_there_are_no_bars(qlops: Qlops) -> None:
    said = qlops("factor", "check", "-1*Mean($Close, 5)/$vwap - Mask($open,'sh000300')", "--json")
    assert said.status == 0
    assert said.document == {
        "expression": "-1*Mean($Close, 5)/$vwap - Mask($open,'sh000300')",
        "canonical": "Sub(Div(Mul(Mean($close,5),-1),$vwap),Mask($open,'SH000300'))",
        "fields": ["close", "open", "vwap"],
        "instruments": ["SH000300"],
        "look_back_days": 4,
        "values": None,
    }


def test_check_computes_over_the_bars_of_the_home(qlops: Qlops, home: Settings) -> None:
    said = qlops("factor", "check", MOMENTUM, "--json")
    values = said.document["values"]
    bars = bars_dataset(home).read()
    # By hand: rows are the days from each first to each last bar; ten have no earlier close.
    days = bars["date"].unique().sort()
    place = pl.col("date").replace_strict(days, list(range(days.len())), return_dtype=pl.Int64)
    spans = bars.group_by("instrument").agg(rows=place.max() - place.min() + 1)
    close = bars.join(
        bars.select("instrument").unique().join(pl.DataFrame({"date": days}), how="cross"),
        on=["instrument", "date"],
        how="right",
    ).sort("instrument", "date")
    moves = (
        close.select(
            pl.col("close").cast(pl.Float32)
            / pl.col("close").cast(pl.Float32).shift(10).over("instrument")
            - 1
        )
        .to_series()
        .drop_nulls()
    )
    assert values["rows"] == spans["rows"].sum()
    assert values["instruments"] == 4
    assert values["missing"] == spans["rows"].sum() - moves.len()
    assert values["quantiles"]["min"] == pytest.approx(moves.min(), rel=1e-5)
    assert values["quantiles"]["50%"] == pytest.approx(moves.median(), abs=1e-4)
    assert values["quantiles"]["max"] == pytest.approx(moves.max(), rel=1e-5)
    assert (values["engine"], values["infinite"], values["agreement"]) == ("native", 0, None)
    assert values["seconds"] >= 0


def test_check_against_qlib_says_that_values_are_qlibs(qlops: Qlops, home: Settings) -> None:
    found = qlops("factor", "check", "EMA($close,9)", "--against-qlib", "--json").document
    agreement = found["values"]["agreement"]
    assert (agreement["agrees"], agreement["violations"]) == (True, 0)
    assert agreement["cells"] == found["values"]["rows"]
    assert found["look_back_days"] is None
    said = qlops("factor", "check", "EMA($close,9)", "--against-qlib", "--engine", "qlib")
    assert "looks back  the whole history" in said.out
    assert "by qlib in" in said.out
    assert "of 4 instruments in 20 months are Qlib's" in said.out


def test_check_says_where_nothing_or_little_has_a_value(qlops: Qlops, home: Settings) -> None:
    never = qlops("factor", "check", "Log(-1*$close)")
    assert "missing     100.00%" in never.out
    assert never.status == 1
    assert "refused     no value on any of" in never.out
    late = qlops("factor", "check", "Ref($close,9999)", "--json")
    assert (late.status, late.document["values"]["missing_share"]) == (1, 1.0)
    assert "is a window longer than the history" in late.document["values"]["fault"]
    rare = qlops("factor", "check", "Ref($close,300)").out
    assert "%: most of it" in rare
    endless = qlops("factor", "check", "$close/($close-$close)").out
    assert "infinite    " in endless


def test_expression_may_begin_with_a_minus_sign(qlops: Qlops) -> None:
    for text in ("-$high", "-1*$high", "-Mean($high,5)"):
        assert qlops("factor", "check", text, "--json").document["expression"] == text
    assert qlops("factor", "add", "below", "-$high", "--json").document["expression"] == "-$high"
    assert "No such option" in qlops("factor", "check", "$high", "--agianst-qlib").err


def test_error_of_an_expression_points_at_the_character(qlops: Qlops) -> None:
    said = qlops("factor", "check", "$close / Maen($close, 5)")
    assert said.status == 1
    assert said.out == ""
    assert said.err.splitlines() == [
        "error: expression, character 10: unknown operator 'Maen'; did you mean 'Mean'? "
        "Write Mean(x, days)",
        "  $close / Maen($close, 5)",
        "           ^",
    ]


def test_error_of_an_expression_with_json_is_one_line_and_the_excerpt(qlops: Qlops) -> None:
    document = qlops("factor", "check", "$clsoe/1", "--json").document
    assert document["kind"] == "ExpressionError"
    assert "\n" not in document["error"]
    assert "unknown field '$clsoe'; did you mean 'close'?" in document["error"]
    assert document["excerpt"] == "  $clsoe/1\n  ^"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["check", "Ref($close,-1)"], "looks 1 days ahead"),
        (["check", "$close", "--name", "kmid"], "there is a factor 'KMID'"),
        (["check", "$close", "--name", "close"], "is that of the field"),
        (["add", "1st", "$close"], "letters, digits and underscores"),
        (["add", "VWAP0", "$close"], "there is a factor 'VWAP0'"),
        (["add", "x", "__import__('os').system('true')"], "expression, character"),
        (["add", "x", "$close" * 20_000], "at most 10,000 are accepted"),
        (["remove", "nothing"], "no factor 'nothing'"),
        (["remove", "MA5"], "one of Alpha158"),
    ],
)
def test_what_cannot_be_used_is_refused(qlops: Qlops, arguments: list[str], found: str) -> None:
    said = qlops("factor", *arguments)
    assert said.status == 1
    assert said.err.startswith("error: ")
    assert found in said.err
    assert len(said.err) < 600


def test_factor_that_is_added_is_listed_and_gone_when_removed(qlops: Qlops, tmp_path: Path) -> None:
    added = qlops("factor", "add", "momentum_10", MOMENTUM, "--by", "mei", "--json").document
    file = str(tmp_path / ".qlops" / "factors.json")
    assert added == {"name": "momentum_10", "expression": MOMENTUM, "where": file, "added": True}
    assert qlops("factor", "list", "--own", "--json").document == {
        "factors": [
            {
                "name": "momentum_10",
                "set": "custom",
                "expression": MOMENTUM,
                "look_back_days": 10,
                "where": file,
            }
        ]
    }
    assert "momentum_10" in qlops("factor", "list", "--own").out
    again = qlops("factor", "add", "momentum_10", "$close/1")
    assert again.status == 1
    assert f"is '{MOMENTUM}' in {file} already" in again.err
    removed = qlops("factor", "remove", "momentum_10", "--by", "tom")
    assert removed.out == f"removed momentum_10 = {MOMENTUM}\n"
    assert qlops("factor", "list", "--own", "--json").document == {"factors": []}
    assert "add one with `qlops factor add" in qlops("factor", "list", "--own").out
    events = Journal(f"sqlite:///{tmp_path}/.qlops/journal.db").read("factors")
    assert [(e.kind, e.data["by"]) for e in events] == [
        ("factor_added", "mei"),
        ("factor_removed", "tom"),
    ]


def test_list_holds_alpha158_and_ones_own_with_their_places(qlops: Qlops, tmp_path: Path) -> None:
    (tmp_path / "qlops.toml").write_text('[factors]\nslow = "EMA($close,30)/$close"\n')
    rows = qlops("factor", "list", "--json").document["factors"]
    assert [row["name"] for row in rows] == [*ALPHA158_NAMES, "slow"]
    by_name = {row["name"]: row for row in rows}
    assert by_name["ROC60"] == {
        "name": "ROC60",
        "set": "alpha158",
        "expression": "Ref($close, 60)/$close",
        "look_back_days": 60,
        "where": "Qlib's Alpha158",
    }
    assert by_name["slow"]["look_back_days"] is None
    assert by_name["slow"]["where"] == f"{tmp_path / 'qlops.toml'}: [factors]"
    assert "the whole history" in qlops("factor", "list", "--own").out


def test_broken_factor_of_the_file_is_named_with_file_key_and_mark(
    qlops: Qlops, tmp_path: Path
) -> None:
    (tmp_path / "qlops.toml").write_text('[factors]\nbad = "Mean($close"\n')
    said = qlops("factor", "list", "--own")
    assert said.status == 1
    first, text, mark = said.err.splitlines()
    assert first.startswith(f"error: {tmp_path / 'qlops.toml'}: [factors] bad: expression, ")
    assert (text, mark) == ("  Mean($close", "  ^")


def test_value_of_the_wrong_type_is_wrong_usage(qlops: Qlops, tmp_path: Path) -> None:
    (tmp_path / "qlops.toml").write_text("[factors]\nbad = 5\n")
    said = qlops("factor", "list", "--own")
    assert said.status == 2
    assert f"{tmp_path / 'qlops.toml'}: [factors].bad: was 5, must be str" in said.err
