"""``qlops train rolling``: windows planned, trained, and judged as one."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qlops_assets.core.atomic import write_json
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.trainings.words import topic_of
from qlops_assets.registry.registry import Registry
from qlops_assets.training.recipes import as_toml
from qlops_assets_tests.cli.conftest import Qlops, Said
from qlops_assets_tests.support.market import market_days
from qlops_assets_tests.support.waiting import wait_for

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
step_days = 70
"""


@pytest.fixture
def home(own_market: Settings, tmp_path: Path) -> Settings:
    """A home with two windows of 70 days, and twenty days of a third, by ``recipe.toml``."""
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
    journal = Journal(home.journal_url)
    events = journal.read_all("rolling/*")
    journal.close()
    return [(e.data["window"], e.data["version"]) for e in events if e.kind == "asked"]


def test_windows_are_planned_trained_interrupted_gone_on_with_and_judged_together(
    rolling: Qlops, home: Settings, tmp_path: Path
) -> None:
    """One story, because each training takes seconds."""
    planned = rolling("--plan", "--json").document
    assert states(planned) == ["due", "due", "not yet"]
    assert planned["windows"][1]["test"] == [str(DAYS[330]), str(DAYS[399])]
    assert planned["windows"][2]["test"] == [str(DAYS[400]), None]
    assert planned["windows"][2]["why"] == "20 of 70 test days are there"
    assert planned["together"] is None
    assert asked(home) == []

    first, interrupted = interrupt_the_second_window(home, tmp_path)
    gone_on = rolling("--json")
    assert gone_on.status == 0, gone_on.err
    assert gone_on.document["trained_now"] == [2]
    check_trained(home, gone_on, first, interrupted)

    everything = rolling("--all")
    assert everything.status == 0, everything.err
    assert len(asked(home)) == 3
    lines = everything.out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "3"]
    assert f"{DAYS[260]} to {DAYS[329]}  trained " in lines[1]
    assert lines[1].endswith(f"  {first} (validated)")
    assert lines[4] == "window 3: 20 of 70 test days are there"
    assert lines[5].startswith(f"together     2 windows, {DAYS[260]} to {DAYS[399]}: IC ")
    assert lines[5].endswith(" over 140 days")

    # A window's version is one like any other: its recipe is plain, and a recipe of its own.
    document = json.loads((home.models / first / "recipe.json").read_text(encoding="utf-8"))
    assert "rolling" not in document
    assert document["training"]["segments"]["test"] == [str(DAYS[260]), str(DAYS[329])]
    (home.home / "window.toml").write_text(as_toml(document))
    own = rolling("--spec", str(home.home / "window.toml"), "--plan", "--json").document
    assert own["windows"][0]["test"][0] == str(DAYS[260])
    assert own["series"] != planned["series"]


def interrupt_the_second_window(home: Settings, folder: Path) -> tuple[str, str]:
    """Train all windows in a process, and press Ctrl-C in the second; return both versions."""
    words = ["train", "rolling", "--home", str(home.home), "--spec", "recipe.toml", "--all"]
    command = [sys.executable, "-m", "qlops_assets.cli", *words]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        (_, first), (number, second) = wait_for(lambda: (a := asked(home))[1:] and a, 120)
        wait_for(lambda: has_begun(home, second), 60)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert said.strip().splitlines()[-1] == "interrupted; run the same command again to continue"
    assert number == 2
    assert f"training {second}: train {DAYS[70]} to {DAYS[270]}" in said
    return first, second


def has_begun(home: Settings, version: str) -> bool:
    journal = Journal(home.journal_url)
    try:
        return bool(journal.read(topic_of(version)))
    finally:
        journal.close()


def check_trained(home: Settings, said: Said, first: str, second: str) -> None:
    """Both are trained, the second in its second attempt, and shown with what the registry has."""
    windows = said.document["windows"]
    assert states(said.document) == ["trained", "trained", "not yet"]
    assert [one["attempts"] for one in windows] == [1, 2, 0]
    assert [one["model_version"] for one in windows] == [first, second, None]
    assert [one["model_state"] for one in windows] == ["validated", "validated", None]
    card = Registry(Journal(home.journal_url)).card(second)
    assert card.facts["segments"]["test"] == [str(DAYS[330]), str(DAYS[399])]
    metrics = card.facts["metrics"]
    assert (windows[1]["ic"], windows[1]["rank_ic"]) == (metrics["ic"], metrics["rank_ic"])
    assert said.document["together"]["windows"] == 2
    assert said.document["together"]["days"] == 140


def test_windows_that_fail_are_told_one_by_one_and_tried_again_by_hand(
    rolling: Qlops, home: Settings
) -> None:
    label = 'label="Ref($close,-9)/Ref($close,-1)-1"'  # looks further ahead than its horizon says
    failed = rolling("--all", "--set", label, "--json")
    assert failed.status == 1
    assert states(failed.document) == ["failed", "failed", "not yet"]
    assert set(failed.document["failed_now"]) == {"1", "2"}
    assert "label_horizon_days: was 2, must be at least 9" in failed.document["failed_now"]["1"]
    for _ in range(2):
        again = rolling("--last", "1", "--set", label, "--json").document
    assert states(again) == ["failed", "given up", "not yet"]
    assert again["windows"][1]["why"].startswith("tried 3 times; failed: [training] label_hor")
    assert rolling("--set", label, "--json").document["windows"][1]["attempts"] == 4


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("--last", "4", "--plan"), 1, "the last 4 windows: must be 1 to 2"),
        (("--last", "0"), 1, "must be 1 to 2"),
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
    file.write_text(RECIPE.replace("step_days = 70", line))
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
    assert (said["step_days"], said["kind"]) == (70, "expanding")
    assert {one["train"][0] for one in said["windows"]} == {str(DAYS[0])}


def test_windows_of_a_task_of_qlibs_are_purged_and_its_rest_is_told(
    qlops: Qlops, home: Settings, tmp_path: Path
) -> None:
    segments = f"train: [{DAYS[0]}, {DAYS[202]}], valid: [{DAYS[203]}, {DAYS[259]}]"
    (tmp_path / "task.yaml").write_text(
        "task:\n"
        "  model: {class: LinearModel, module_path: qlib.contrib.model.linear}\n"
        "  dataset:\n"
        "    class: DatasetH\n"
        "    kwargs:\n"
        "      handler: {class: Alpha158, kwargs: {instruments: csi300}}\n"
        f"      segments: {{{segments}, test: [{DAYS[260]}, {DAYS[300]}]}}\n"
    )
    words = ("train", "rolling", "--home", str(home.home), "--spec", "task.yaml", "--plan")
    said = qlops(*words, "--json")
    assert "the universe is that of [universe] name" in said.err
    found = said.document["windows"]
    assert len(found) == 9  # eight of 20 days each, and one that has no test day yet
    assert found[0]["train"] == [str(DAYS[0]), str(DAYS[200])]
    assert found[0]["valid"] == [str(DAYS[203]), str(DAYS[257])]
    assert found[7]["test"] == [str(DAYS[400]), str(DAYS[419])]
    assert (found[8]["state"], found[8]["test"]) == ("not yet", [None, None])


def test_home_without_a_day_says_what_to_do(qlops: Qlops, tmp_path: Path) -> None:
    for words in ((), ("--plan",)):
        said = qlops("train", "rolling", "--home", str(tmp_path / "none"), *words)
        assert said.status == 1
        assert "bars: no data for any month" in said.err
