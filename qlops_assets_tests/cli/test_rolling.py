"""``qlops train rolling``: windows planned, trained, and judged as one."""

import json
from pathlib import Path
from typing import Any

import pytest

from qlops_assets.core.atomic import write_json
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.registry.registry import Registry
from qlops_assets_tests.cli.conftest import Qlops
from qlops_assets_tests.support.market import market_days

DAYS = market_days()
RECIPE = f"""
[training]
model = "linear"
features = ["KMID", "ROC5"]
topk = 4
n_drop = 1
account = 1e7
threads = 1
min_rank_ic = -1.0

[training.segments]
train = [{DAYS[0]}, {DAYS[200]}]
valid = [{DAYS[203]}, {DAYS[257]}]
test = [{DAYS[260]}, {DAYS[260]}]

[rolling]
step_days = 50
"""


@pytest.fixture
def home(own_market: Settings, tmp_path: Path) -> Settings:
    """A home with three windows of 50 days, and ten days of a fourth, by ``recipe.toml``."""
    write_json(own_market.source_file, {"path": str(own_market.source.path)})  # as the demo does
    (own_market.home / "qlops.toml").write_text("[recorder]\nenabled = false\n")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return own_market


@pytest.fixture
def rolling(qlops: Qlops, home: Settings) -> Qlops:
    def run(*words: str) -> Any:
        recipe = () if "--spec" in words else ("--spec", "recipe.toml")
        return qlops("train", "rolling", "--home", str(home.home), *recipe, *words)

    return run


def states(document: dict[str, Any]) -> list[str]:
    return [one["state"] for one in document["windows"]]


def asked(home: Settings) -> list[tuple[int, str]]:
    """Return the windows that were asked for, and as which version."""
    events = Journal(home.journal_url).read_all("rolling/*")
    return [(e.data["window"], e.data["version"]) for e in events if e.kind == "asked"]


def test_windows_are_planned_trained_and_judged_together(rolling: Qlops, home: Settings) -> None:
    planned = rolling("--plan", "--json").document
    assert states(planned) == ["due", "due", "due", "not yet"]
    assert planned["windows"][1]["test"] == [str(DAYS[310]), str(DAYS[359])]
    assert planned["windows"][3]["test"] == [str(DAYS[410]), None]
    assert planned["windows"][3]["why"] == "10 of 50 test days are there"
    assert planned["together"] is None
    assert asked(home) == []

    newest = rolling("--json")
    assert newest.status == 0, newest.err
    assert newest.document["trained_now"] == [3]
    assert states(newest.document) == ["due", "due", "trained", "not yet"]
    ((number, version),) = asked(home)
    assert number == 3
    assert f"training {version}: train {DAYS[100]} to {DAYS[300]}" in newest.err
    card = Registry(Journal(home.journal_url)).card(version)
    trained = newest.document["windows"][2]
    assert trained["model_version"] == version
    assert trained["model_state"] == "validated"
    assert (trained["ic"], trained["rank_ic"]) == tuple(
        card.facts["metrics"][name] for name in ("ic", "rank_ic")
    )
    assert card.facts["segments"]["test"] == [str(DAYS[360]), str(DAYS[409])]
    assert newest.document["together"]["windows"] == 1

    everything = rolling("--all")
    assert everything.status == 0, everything.err
    assert "window 3 is trained" in everything.err
    assert [number for number, _ in asked(home)] == [3, 1, 2]
    lines = everything.out.splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["1", "2", "3", "4"]
    assert f"{DAYS[260]} to {DAYS[309]}  trained " in lines[1]
    assert lines[3].endswith(f"  {version} (validated)")
    assert "window 4: 10 of 50 test days are there" in lines[5]
    assert lines[6].startswith(f"together     3 windows, {DAYS[260]} to {DAYS[409]}: IC ")
    assert lines[6].endswith(" over 150 days")

    nothing = rolling("--json").document
    assert nothing["trained_now"] == []
    assert nothing["together"]["days"] == 150
    assert len(asked(home)) == 3

    recipe = home.home / "window.toml"
    recipe.write_text(rolling_recipe(rolling, home, version))
    same = rolling("--spec", str(recipe), "--plan", "--json").document
    assert same["windows"][0]["test"][0] == str(DAYS[360])  # a series of its own


def rolling_recipe(rolling: Qlops, home: Settings, version: str) -> str:
    """Return the plain recipe of a window's version."""
    text = (home.models / version / "recipe.json").read_text(encoding="utf-8")
    from qlops_assets.training.recipes import as_toml

    document = json.loads(text)
    assert "rolling" not in document
    assert document["training"]["segments"]["test"] == [str(DAYS[360]), str(DAYS[409])]
    return as_toml(document)


def test_window_that_fails_is_told_and_the_others_are_trained(
    rolling: Qlops, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second window finds a file in the place of its folder of predictions."""
    failed = rolling("--all", "--set", 'label="Ref($close,-9)/Ref($close,-1)-1"', "--json")
    assert failed.status == 1
    assert states(failed.document) == ["failed", "failed", "failed", "not yet"]
    assert set(failed.document["failed_now"]) == {"1", "2", "3"}
    assert "label_horizon_days: was 2, must be at least 9" in failed.document["failed_now"]["1"]
    assert failed.document["windows"][0]["why"].startswith("tried once; failed: [training] label")


def test_interrupted_command_goes_on_where_it_was(
    rolling: Qlops, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qlops_assets.cli.instance import Runs

    real, calls = Runs.run, []

    def interrupted(self: Runs, *words: Any, **options: Any) -> str:
        calls.append(words)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, *words, **options)

    monkeypatch.setattr(Runs, "run", interrupted)
    stopped = rolling("--last", "2")
    assert stopped.status == 130
    assert "run the same command again to continue" in stopped.err
    again = rolling("--last", "2", "--json")
    # The run of the third window never began: for a while it is not known that nothing will come.
    assert states(again.document)[1:3] == ["trained", "training"]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("--last", "4", "--plan"), 1, "the last 4 windows: must be 1 to 3"),
        (("--last", "0"), 1, "must be 1 to 3"),
        (("--last", "1", "--all"), 2, "--last and --all: give one of them"),
        (("--spec", "none.toml"), 1, "none.toml: cannot be read"),
        (("--set", "rounds"), 2, "must be KEY=VALUE"),
        (("--set", "purgee=true"), 2, "did you mean 'purge'"),
        (("--set", "embargo_days=1"), 1, "embargo_days: was 1, must be at least"),
        (("--set", "embargo_days=3"), 1, "purge = true cuts it there"),
        (("--set", "segments.train=[2019-01-02]"), 1, "must be a first and a last day"),
        (("--set", "train_end=2019-09-01"), 1, "set one or the other"),
        (("--set", "segments.test=[2031-01-01, 2031-02-01]"), 1, "no trading day is between"),
        (("--model", "linaer"), 1, "did you mean 'linear'"),
    ],
)
def test_windows_that_cannot_be_are_refused_in_a_line(
    rolling: Qlops, words: tuple[str, ...], status: int, message: str
) -> None:
    said = rolling(*words)
    assert said.status == status
    assert message in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("step_days = 19", "[rolling] step_days: was 19, must be at least 20"),
        ('kind = "slide"', "[rolling] kind: was 'slide'; did you mean 'sliding'"),
        ("enabled = true", "'enabled' belongs into qlops.toml"),
        ("step_days = '20'", "must be int"),
    ],
)
def test_recipe_that_makes_no_window_is_refused_in_a_line(
    qlops: Qlops, home: Settings, tmp_path: Path, line: str, message: str
) -> None:
    file = tmp_path / "other.toml"
    file.write_text(RECIPE.replace("step_days = 50", line))
    said = qlops("train", "rolling", "--home", str(home.home), "--spec", str(file))
    assert said.status == 2
    assert message in said.err


def test_options_before_the_subcommand_are_refused(qlops: Qlops, home: Settings) -> None:
    said = qlops("train", "--home", str(home.home), "--spec", "recipe.toml", "rolling")
    assert said.status == 2
    assert "come after the subcommand" in said.err


def test_recipe_of_the_schedule_is_the_one_that_is_meant(qlops: Qlops, home: Settings) -> None:
    toml = home.home / "qlops.toml"
    toml.write_text('[rolling]\nspec = "recipe.toml"\nkind = "expanding"\n')
    said = qlops("train", "rolling", "--home", str(home.home), "--plan", "--json").document
    assert (said["step_days"], said["kind"]) == (50, "expanding")
    assert {one["train"][0] for one in said["windows"]} == {str(DAYS[0])}


def test_home_without_a_day_says_what_to_do(qlops: Qlops, tmp_path: Path) -> None:
    for words in ((), ("--plan",)):
        said = qlops("train", "rolling", "--home", str(tmp_path / "none"), *words)
        assert said.status == 1
        assert "bars: no data for any month" in said.err
