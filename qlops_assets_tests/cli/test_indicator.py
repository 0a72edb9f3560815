"""``qlops indicator``: list, show, check."""

import shutil
import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from qlops_assets.core.settings import Settings
from qlops_assets.indicators.apply import indicators
from qlops_assets.indicators.families.catalog import INDICATORS
from qlops_assets.indicators.names import DEFAULT_NAMES, column
from qlops_assets.indicators.reads import bar_columns
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets_tests.cli.conftest import Qlops
from qlops_assets_tests.support.market_fixtures import few, market, shared_folder

__all__ = ["few", "market", "shared_folder"]

CHOSEN = """
[indicators]
names = ["rsi_14", "atr_20", "macd"]
[indicators.own]
rsi_gap = "$rsi_14-Ref($rsi_14,5)"
doubled = "$sma_3*2"
"""


@pytest.fixture
def home(few: Settings, tmp_path: Path) -> Settings:
    """The bars of four instruments, in the home that the commands of a test mean."""
    source = f'[source]\npath = "{few.source_folder}"\n'
    (tmp_path / "qlops.toml").write_text(source + CHOSEN, encoding="utf-8")
    settings = Settings.read(tmp_path / ".qlops", tmp_path / "qlops.toml")
    shutil.copytree(bars_dataset(few).folder, bars_dataset(settings).folder)
    return settings


def words(text: str) -> str:
    """Return a text with single spaces, as columns are padded."""
    return " ".join(text.split())


# list


def test_list_holds_every_usual_column_with_its_facts(qlops: Qlops) -> None:
    found = qlops("indicator", "list", "--json").document
    rows = {row["name"]: row for row in found["indicators"]}
    assert list(rows) == list(DEFAULT_NAMES)
    assert rows["bbands_upper"] == {
        "name": "bbands_upper",
        "family": "bbands",
        "group": "trend",
        "title": "Bollinger Bands",
        "output": "upper band",
        "parameters": {"days": 20, "width": 2.0},
        "units": "price; width and percent are shares, 1 being the whole",
        "warm_up_bars": 19,
        "look_back_bars": 19,
        "built": True,
    }
    assert rows["rsi_6"]["look_back_bars"] is None
    assert (found["built"], found["by_default"], found["own"]) == (len(rows), True, [])


def test_list_as_text_says_what_its_document_says(qlops: Qlops, home: Settings) -> None:
    for options in ([], ["--built"], ["--group", "trend"], ["--own"]):
        found = qlops("indicator", "list", *options, "--json").document
        lines = {line.split()[0]: words(line) for line in _lines(qlops, *options)}
        for row in found["indicators"]:
            line = lines[row["name"]]
            assert f" {row['warm_up_bars']}" in line
            assert ("✓" in line) == row["built"]
        for row in found["own"]:
            assert words(row["definition"]) in lines[row["name"]]
            assert row["where"] in lines[row["name"]]
        named = {*(row["name"] for row in (*found["indicators"], *found["own"]))}
        assert named <= set(lines)


def _lines(qlops: Qlops, *options: str) -> list[str]:
    return [line for line in qlops("indicator", "list", *options).out.splitlines() if line.strip()]


def test_list_marks_what_this_home_builds(qlops: Qlops, home: Settings) -> None:
    found = qlops("indicator", "list", "--json").document
    built = [row["name"] for row in found["indicators"] if row["built"]]
    assert built == ["rsi_14", "atr_20", "macd"]
    assert {row["name"] for row in found["indicators"]} == {*DEFAULT_NAMES, "atr_20"}
    assert (found["built"], found["by_default"]) == (5, False)
    assert found["own"][0] == {
        "name": "rsi_gap",
        "definition": "$rsi_14-Ref($rsi_14,5)",
        "kind": "expression",
        "look_back_days": None,
        "where": f"{home.config_file}: [indicators.own]",
    }
    assert found["own"][1]["look_back_days"] == 2
    said = qlops("indicator", "list").out
    assert "This home builds 5 columns (by [indicators] names)." in said


def test_list_holds_only_what_is_asked_for(qlops: Qlops, home: Settings) -> None:
    trend = qlops("indicator", "list", "--group", "trend", "--json").document
    assert {row["group"] for row in trend["indicators"]} == {"trend"}
    assert trend["own"] == []
    built = qlops("indicator", "list", "--built", "--json").document
    assert [row["name"] for row in built["indicators"]] == ["rsi_14", "atr_20", "macd"]
    own = qlops("indicator", "list", "--own", "--json").document
    assert (own["indicators"], len(own["own"])) == ([], 2)
    nothing = qlops("indicator", "list", "--built", "--group", "volume").out
    assert "none; write your own under [indicators.own]" in nothing


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["list", "--group", "trends"], "'trend', 'momentum'"),
        (["list", "--group", "trend", "--own"], "give one of the two"),
        (["show"], "NAME"),
        (["check"], "DEFINITION"),
        (["chekc"], "chekc"),
    ],
)
def test_wrong_usage_is_status_2(qlops: Qlops, arguments: list[str], found: str) -> None:
    said = qlops("indicator", *arguments)
    assert said.status == 2
    assert found in said.err
    assert len(said.err.strip().splitlines()) == 1


# show


def test_show_of_a_column_gives_its_parameters_and_how_far_it_sees(qlops: Qlops) -> None:
    found = qlops("indicator", "show", "atr_20", "--json").document
    assert found["family"] == "atr"
    assert found["parameters"] == [
        {"name": "days", "value": 20, "default": 14, "least": 2, "most": 2500}
    ]
    assert found["columns"] == [
        {
            "name": "atr_20",
            "what": "",
            "warm_up_bars": 20,
            "look_back_bars": None,
            "reads": ["close", "high", "low"],
            "built": False,
        }
    ]
    assert (found["usual"], found["built"]) == (["atr_14"], ["atr_14"])
    said = words(qlops("indicator", "show", "atr_20").out)
    assert "days 20 (default 14), from 2 to 2,500" in said
    assert "atr_20 20 bars all history close, high, low" in said
    assert "built here atr_14" in said


@pytest.mark.parametrize("name", [*INDICATORS, "vix_fix_9", "bbands_10_1p5_upper"])
def test_show_as_text_says_what_its_document_says(qlops: Qlops, name: str) -> None:
    found = qlops("indicator", "show", name, "--json").document
    said = words(qlops("indicator", "show", name).out)
    for key in ("title", "formula", "source", "units", "note", "written"):
        assert words(found[key]) in said
    for one in found["columns"]:
        assert f"{one['name']} " in said
        assert ", ".join(one["reads"]) in said
        known = column(one["name"])
        assert (one["warm_up_bars"], one["look_back_bars"]) == (known.warm_up, known.look_back)
        assert one["reads"] == list(bar_columns(one["name"], {}))


def test_show_of_a_family_has_all_its_outputs(qlops: Qlops) -> None:
    found = qlops("indicator", "show", "ichimoku", "--json").document
    assert [one["name"] for one in found["columns"]] == list(INDICATORS["ichimoku"].columns)
    assert found["written"].endswith("_tenkan|kijun|senkou_a|senkou_b|chikou")


def test_show_of_ones_own_says_what_it_reads_and_where_it_was_written(
    qlops: Qlops, home: Settings
) -> None:
    found = qlops("indicator", "show", "rsi_gap", "--json").document
    assert (found["reads"], found["indicators"]) == (["close"], ["rsi_14"])
    said = words(qlops("indicator", "show", "rsi_gap").out)
    assert "expression $rsi_14-Ref($rsi_14,5)" in said
    assert "reads close; through rsi_14" in said
    assert f"where {home.config_file}: [indicators.own]" in said


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("rsii", "did you mean 'rsi'?"),
        ("rsi_gpa", "did you mean 'rsi_gap'?"),
        ("rsi_1", "its days is 1; must be a whole number from 2 to 2,500"),
        ("kdj_9", "is unknown"),
    ],
)
def test_show_of_what_is_none_is_one_line(
    qlops: Qlops, home: Settings, name: str, found: str
) -> None:
    said = qlops("indicator", "show", name)
    assert said.status == 1
    assert found in said.err
    assert len(said.err.splitlines()) == 1


# check


def test_check_computes_over_the_bars_of_the_home(qlops: Qlops, home: Settings) -> None:
    found = qlops("indicator", "check", "$sma_5*2", "--json").document
    bars = bars_dataset(home).read()
    rows = indicators(bars, ["sma_5"]).with_columns(value=pl.col("sma_5") * 2)
    last = rows["date"].max()
    spans = {
        "whole": rows,
        "year": rows.filter(pl.col("date") > last - timedelta(days=365)),
        "day": rows.filter(pl.col("date") == last),
    }
    assert found["values"]["instruments"] == 4
    assert found["values"]["fault"] is None
    for name, expected in spans.items():
        span, values = found["values"][name], expected["value"].drop_nulls()
        assert (span["rows"], span["values"]) == (expected.height, values.len())
        assert (span["first"], span["last"]) == (str(expected["date"].min()), str(last))
        at = {"min": values.min(), "median": values.median(), "max": values.max()}
        assert span["figures"] == pytest.approx(at, rel=1e-6)
    assert (found["reads"], found["indicators"]) == (["close"], ["sma_5"])
    assert found["look_back_days"] == 4


def test_check_as_text_says_what_its_document_says(qlops: Qlops, home: Settings) -> None:
    document = qlops("indicator", "check", "-$rsi_gap/2", "--name", "lower", "--json").document
    said = words(qlops("indicator", "check", "-$rsi_gap/2", "--name", "lower").out)
    whole, day = document["values"]["whole"], document["values"]["day"]
    assert "expression -$rsi_gap/2" in said
    assert "reads close; through rsi_gap" in said
    assert f"computed {whole['rows']:,} rows of 4 instruments, {whole['first']} to" in said
    assert f"missing {1 - whole['values'] / whole['rows']:.2%}" in said
    figures = " ".join(f"{name} {value:.6g}" for name, value in day["figures"].items())
    assert f"newest day {day['last']}: {day['values']} of {day['rows']} rows, {figures}" in said
    assert said.endswith('in qlops.toml: [indicators.own] lower = "-$rsi_gap/2"')


def test_check_of_a_function_gives_it_the_bars(
    qlops: Qlops, home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "tried_by_the_command"
    (tmp_path / f"{module}.py").write_text(
        "import polars as pl\n\n\ndef swing(bars):\n"
        '    return bars.select(pl.col("high") / pl.col("low") - 1).to_series()\n\n\n'
        "def broken(bars):\n    return 1 / 0\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = qlops("indicator", "check", f"{module}:swing", "--json").document
    assert (found["kind"], found["look_back_days"]) == ("function", None)
    bars = bars_dataset(home).read()
    most = bars.select((pl.col("high") / pl.col("low") - 1).max()).item()
    assert found["values"]["whole"]["figures"]["max"] == pytest.approx(most)
    broken = qlops("indicator", "check", f"{module}:broken")
    assert (broken.status, broken.out) == (1, "")
    assert broken.err.startswith(f"error: indicator unnamed: {module}:broken failed: ZeroDivision")
    sys.modules.pop(module)


def test_check_without_bars_reads_only(qlops: Qlops) -> None:
    said = qlops("indicator", "check", "$rsi_14/100")
    assert said.status == 0
    assert "no bars in this home: nothing was computed" in said.out
    assert qlops("indicator", "check", "$rsi_14/100", "--json").document["values"] is None


def test_check_refuses_what_never_has_a_value(qlops: Qlops, home: Settings) -> None:
    said = qlops("indicator", "check", "Log(-1*$close)")
    assert said.status == 1
    assert "missing      100.00%" in said.out
    assert "refused      no value on any of" in said.out
    document = qlops("indicator", "check", "Log(-1*$close)", "--json").document
    assert document["values"]["fault"].startswith("no value on any of")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["$rsi_14/Maen($close,5)"], "indicator unnamed: character 9: unknown operator 'Maen'"),
        (["$rsi_41x"], "unknown field '$rsi_41x'"),
        (["Ref($close,-1)"], "looks 1 days ahead"),
        (["5"], "needs a field"),
        (["no.such.module:function"], "there is no Python module 'no.such.module'"),
        (["$close", "--name", "rsi"], "is the name of an indicator of ours"),
        (["$close", "--name", "kmid"], "there is a factor 'KMID'"),
        (["$close", "--name", "rsi_gap"], "is '$rsi_14-Ref($rsi_14,5)' already, in "),
        (["$close", "--name", "A-b"], "small letters, digits and _"),
        (["$a*2", "--name", "a"], "depends on itself"),
    ],
)
def test_check_of_what_cannot_be_one_is_one_clear_line(
    qlops: Qlops, home: Settings, arguments: list[str], found: str
) -> None:
    said = qlops("indicator", "check", *arguments)
    assert (said.status, said.out) == (1, "")
    first, *excerpt = said.err.splitlines()
    assert first.startswith("error: indicator ")
    assert found in first
    assert len(excerpt) in {0, 2}  # the text and a mark below it
    assert qlops("indicator", "check", *arguments, "--json").document["kind"] == "IndicatorError"


def test_broken_indicator_of_the_file_is_named_with_its_place(qlops: Qlops, tmp_path: Path) -> None:
    (tmp_path / "qlops.toml").write_text('[indicators.own]\nbad = "$clsoe*2"\n', encoding="utf-8")
    place = f"error: {tmp_path / 'qlops.toml'}: [indicators.own] bad: "
    for arguments in (["list"], ["show", "rsi"], ["check", "$close/2"]):
        said = qlops("indicator", *arguments)
        assert said.status == 1
        assert said.err.startswith(place)
