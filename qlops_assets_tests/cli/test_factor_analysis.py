"""``qlops factor report`` and ``qlops factor select`` on the small market."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from qlops_assets.cli.factors.tables import sparkline
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.factors.report import Scope, load_report, reports_folder
from qlops_assets.training.selections import load_selection
from qlops_assets.training.spec import training_spec
from qlops_assets_tests.cli.conftest import Qlops
from qlops_assets_tests.support.market import copied, market_days
from qlops_assets_tests.support.market_fixtures import market, shared_folder

__all__ = ["market", "shared_folder"]

FEW = "KMID,ROC5,MA5,KLEN"
DAYS = market_days()


@pytest.fixture(scope="module")
def folder(market: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with bars and factors; its reports stay from test to test."""
    folder = tmp_path_factory.mktemp("report") / "home"
    copied(market, folder)
    source = f'[source]\npath = "{market.source_folder}"\nquiet_seconds = 0\n'
    (folder / "qlops.toml").write_text(source, encoding="utf-8")
    return folder


@pytest.fixture
def home(folder: Path, monkeypatch: pytest.MonkeyPatch, qlops: Qlops) -> Iterator[Settings]:
    """The home, with nothing saved in it."""
    monkeypatch.setenv("QLOPS_HOME", str(folder))
    yield Settings.read(folder)
    shutil.rmtree(folder / "selections", ignore_errors=True)


def test_report_is_made_by_a_run_of_dagster_once_and_then_shown(
    qlops: Qlops, home: Settings
) -> None:
    shutil.rmtree(reports_folder(home), ignore_errors=True)
    said = qlops("factor", "report", "--factors", FEW, "--json")
    assert said.status == 0, said.err
    assert "factor_report: done" in said.err
    record = load_report(home, Scope(tuple(FEW.split(","))))
    assert record is not None
    document = said.document
    assert document["digest"] == record.digest
    strengths = [abs(factor["rank_icir"]) for factor in document["factors"]]
    assert strengths == sorted(strengths, reverse=True)
    assert len(document["factors"]) == 4
    assert [part["horizon"] for part in document["factors"][0]["decay"]] == list(range(1, 21))
    steps = [e.data["asset"] for e in Journal(home.journal_url).read_all() if "asset" in e.data]
    assert set(steps) == {"factor_report"}
    count = len(steps)
    again = qlops("factor", "report", "--factors", FEW)
    assert again.status == 0
    steps = [e for e in Journal(home.journal_url).read_all() if "asset" in e.data]
    assert len(steps) == count


def test_report_for_people_names_days_universe_and_figures(qlops: Qlops, home: Settings) -> None:
    said = qlops("factor", "report", "--factors", FEW, "--top", "2")
    assert said.status == 0, said.err
    assert f"4 factors, {DAYS[0]} to {DAYS[-1]}, universe core" in said.out
    assert "2 more; --top N" in said.out
    record = load_report(home, Scope(tuple(FEW.split(","))))
    assert record is not None
    row = record.analysis.summary.filter(record.analysis.summary["factor"] == "MA5").to_dicts()[0]
    (line,) = [line for line in said.out.splitlines() if "MA5" in line]
    assert f"{row['rank_ic']:+.4f}" in line
    assert f"{row['rank_icir']:+.3f}" in line


def test_report_up_to_a_day_uses_no_later_one(qlops: Qlops, home: Settings) -> None:
    arguments = ("--factors", FEW, "--until", str(DAYS[300]), "--top", "1", "--json")
    document = qlops("factor", "report", *arguments).document
    assert document["last"] == str(DAYS[300])
    assert len(document["factors"]) == 1


def test_selection_is_by_the_training_period_and_says_so(qlops: Qlops, home: Settings) -> None:
    document = qlops("factor", "select", "--factors", FEW, "--json").document
    train_end = training_spec(home).segments.train[1]
    assert document["last"] == document["training_end"] == str(train_end)
    assert document["usable_for_training"] is True
    assert "MA5" in document["kept"]
    assert len(document["decisions"]) == 4
    assert sum(document["refused"].values()) == 4 - len(document["kept"])
    assert document["saved"] is None
    said = qlops("factor", "select", "--factors", FEW)
    assert f"by the data from {DAYS[0]} to {train_end}" in said.out
    assert "give --save NAME" in said.out
    assert "--explain says why" in said.out


def test_rules_are_those_given_over_those_of_the_settings(qlops: Qlops, home: Settings) -> None:
    arguments = ("factor", "select", "--factors", FEW, "--json")
    document = qlops(*arguments, "--most-factors", "1", "--least-coverage", "0.25").document
    assert len(document["kept"]) == 1
    assert document["rules"]["most_factors"] == 1
    assert document["rules"]["least_coverage"] == 0.25
    assert document["rules"]["most_q_value"] == 0.05
    none = qlops(*arguments, "--least-rank-ic", "0.9").document
    assert (none["kept"], sum(none["refused"].values())) == ([], 4)


def test_explain_gives_every_refusal_its_reason(qlops: Qlops, home: Settings) -> None:
    said = qlops("factor", "select", "--factors", FEW, "--least-rank-ic", "0.9", "--explain")
    assert said.out.count("must be at least 0.9") + said.out.count("q-value") == 4


def test_saved_selection_can_be_trained_on(qlops: Qlops, home: Settings) -> None:
    said = qlops("factor", "select", "--factors", FEW, "--save", "few")
    assert said.status == 0, said.err
    assert 'features = ["selection:few"] under [training]' in said.out
    saved = load_selection(home, "few")
    toml = home.home / "qlops.toml"
    before = toml.read_text(encoding="utf-8")
    toml.write_text(f'{before}\n[training]\nfeatures = ["selection:few"]\n', encoding="utf-8")
    try:
        assert list(training_spec(Settings.read(home.home)).feature_names) == saved.factors
    finally:
        toml.write_text(before, encoding="utf-8")


def test_another_selection_needs_replace_to_take_a_name(qlops: Qlops, home: Settings) -> None:
    arguments = ("factor", "select", "--factors", FEW)
    assert qlops(*arguments, "--save", "one").status == 0
    refused = qlops(*arguments, "--most-factors", "1", "--save", "one")
    assert refused.status == 1
    assert "is there already" in refused.err
    replaced = qlops(*arguments, "--most-factors", "1", "--save", "one", "--replace", "--json")
    assert replaced.document["saved"]["factors"] == 1


def test_selection_that_has_seen_later_days_is_shown_as_unusable(
    qlops: Qlops, home: Settings
) -> None:
    arguments = ("factor", "select", "--factors", FEW, "--until", str(DAYS[-1]))
    assert "training refuses it" in qlops(*arguments).out
    assert qlops(*arguments, "--json").document["usable_for_training"] is False


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("report", "--factors", "KMIDD"), 1, "unknown factor 'KMIDD'; did you mean 'KMID'"),
        (("report", "--factors", ","), 1, "no factor was named"),
        (("report", "--until", "2020-13-01"), 2, "does not match the format"),
        (("report", "--top", "0"), 2, "x>=1"),
        (("select", "--most-correlation", "2"), 1, "most_correlation: was 2.0, must be in (0, 1]"),
        (("select", "--factors", "KMID", "--save", "a/b"), 1, "a name has 1 to 64"),
        (
            ("select", "--factors", "KMID", "--least-rank-ic", "0.9", "--save", "a"),
            1,
            "no factor was kept",
        ),
    ],
)
def test_bad_questions_are_answered_in_one_line(
    qlops: Qlops, home: Settings, arguments: tuple[str, ...], status: int, message: str
) -> None:
    said = qlops("factor", *arguments)
    assert said.status == status
    assert message in said.err
    assert said.err.strip().splitlines()[-1].startswith("error: ")


def test_home_without_factors_says_what_to_do(qlops: Qlops, tmp_path: Path) -> None:
    said = qlops("factor", "report", "--home", str(tmp_path / "new"))
    assert said.status == 1
    assert "materialize" in said.err


def test_sparkline_is_relative_to_the_largest_and_leaves_gaps() -> None:
    assert sparkline([0.04, -0.02, None, 0.0, 0.01]) == "█▅ ▁▃"
    assert sparkline([None, None]) == "  "
    assert sparkline([0.0, 0.0]) == "▁▁"
    assert sparkline([]) == ""
