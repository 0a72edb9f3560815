"""One home, lived in: interrupted, finished, repeated, grown, killed, brought up.

Each fixture is the next chapter and keeps what was seen in it; they are made once, in this order,
whichever test asks for them.
"""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from qlops_assets_tests.support.journeys import Finished, Journey, dagster_instance, run_states
from qlops_assets_tests.support.market import DAYS, market_days, write_source

# Every test of this folder runs in one process, one after the other (see the conftest above): they
# share homes and cores.
BROKEN = "broken.parquet"
HELD_BACK = 1  # days that the source gains in a later chapter


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.journey)


@dataclass(frozen=True)
class Chapter:
    """What a command did, and what the home looked like after it."""

    finished: Finished
    runs: list[tuple[str, str]]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        return self.finished.document


def demo(journey: Journey) -> list[str]:
    return ["demo", "--bars", str(journey.source), "--operator", "mei", "--json"]


def is_progress_of(stage: str) -> Any:
    return lambda event: event.kind == "progress" and event.data["stage"] == stage


@pytest.fixture(scope="session")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """A home over a source of one file per year, one of them broken."""
    journey = Journey(tmp_path_factory.mktemp("journey"))
    write_source(journey.source, until=DAYS - HELD_BACK)
    broken = journey.source / "bars" / BROKEN
    broken.write_bytes((journey.source / "bars" / "2019.parquet").read_bytes()[:20_000])
    for path in (journey.source / "bars").iterdir():
        os.utime(path, (time.time() - 60,) * 2)
    yield journey
    journey.close()


@pytest.fixture(scope="session")
def interrupted(journey: Journey) -> Chapter:
    """Ctrl-C while factors are computed."""
    finished = journey.signalled(signal.SIGINT, is_progress_of("factors"), *demo(journey))
    return Chapter(finished, run_states(journey), {"damage": damage(journey.home)})


@pytest.fixture(scope="session")
def interrupted_again(journey: Journey, interrupted: Chapter) -> Chapter:
    """Ctrl-C while the model is fitted."""
    finished = journey.signalled(signal.SIGINT, is_progress_of("fit"), *demo(journey))
    return Chapter(finished, run_states(journey), {"damage": damage(journey.home)})


@pytest.fixture(scope="session")
def killed(journey: Journey, interrupted_again: Chapter) -> Chapter:
    """kill -9 while the model is fitted."""
    finished = journey.signalled(signal.SIGKILL, is_progress_of("fit"), *demo(journey))
    return Chapter(finished, run_states(journey), {"damage": damage(journey.home)})


@pytest.fixture(scope="session")
def first(journey: Journey, killed: Chapter) -> Chapter:
    """The same command again, to its end; then both servers are asked."""
    finished = journey.qlops(*demo(journey))
    assert finished.status == 0, finished.err
    answers = {
        "metadata": newest_metadata(journey),
        "score": journey.post("production", "/v1/score", {}),
        "staging": journey.post("staging", "/v1/score", {}),
        "infer": inferred(journey),
    }
    return Chapter(finished, run_states(journey), answers)


@pytest.fixture(scope="session")
def second(journey: Journey, first: Chapter) -> Chapter:
    """The same command again, with nothing changed."""
    finished = journey.qlops(*demo(journey))
    return Chapter(finished, run_states(journey), {"source": first.facts})


@pytest.fixture(scope="session")
def grown(journey: Journey, second: Chapter) -> Chapter:
    """The source gains its last day; then the same command again."""
    before = max(e.seq for e in journey.events())
    whole = journey.folder / "whole"
    write_source(whole)
    last = market_days()[-1]
    for name in (f"bars/{last.year}.parquet", "benchmark.parquet"):
        (whole / name).rename(journey.source / name)
    finished = journey.qlops(*demo(journey))
    facts = {
        "events": journey.events(after=before),
        "old": journey.qlops("models", "history", version_of(second), "--json").document,
        "new": journey.qlops("models", "list", "--json").document,
        "score": journey.post("production", "/v1/score", {}),
    }
    return Chapter(finished, run_states(journey), facts)


def newest_metadata(journey: Journey) -> dict[str, dict[str, Any]]:
    """Return what Dagster shows of the newest materialization of every asset."""
    import dagster as dg

    with dagster_instance(journey) as instance:
        found = {}
        for key in instance.all_asset_keys():
            event = instance.get_latest_materialization_event(dg.AssetKey(key.path))
            found[key.to_user_string()] = {
                name: value.value for name, value in event.asset_materialization.metadata.items()
            }
        return found


def version_of(chapter: Chapter) -> str:
    return str(chapter.document["model_version"])


def inferred(journey: Journey) -> dict[str, float]:
    """Score the newest day's feature rows by the open protocol; return instrument -> score."""
    from qlops_assets.core.settings import Settings
    from qlops_assets.features.lookup import StoredFeatures

    features = StoredFeatures(Settings.read(journey.home))
    day = features.last_date()
    assert day is not None
    with httpx.Client(timeout=30, trust_env=False) as client:
        metadata = client.get(f"{journey.url('production')}/v2/models/alpha").json()
    (described,) = metadata["inputs"]
    names = feature_names(journey)
    rows = features.rows(day, names)
    body = {
        "inputs": [
            {
                "name": described["name"],
                "shape": list(rows.values.shape),
                "datatype": described["datatype"],
                "data": [None if isnan(v) else v for v in map(float, rows.values.ravel())],
            }
        ]
    }
    answer = journey.post("production", "/v2/models/alpha/infer", body)
    return dict(zip(rows.instruments, answer["outputs"][0]["data"], strict=True))


def feature_names(journey: Journey) -> list[str]:
    """Return the names of the 158 factors in the order of the model."""
    from qlops_assets.factors.alpha158 import alpha158_expressions

    return list(alpha158_expressions())


def damage(home: Path) -> list[str]:
    """Return every file of the lake and the models that is not whole."""
    wrong = []
    for path in [*home.joinpath("lake").rglob("*"), *home.joinpath("models").rglob("*")]:
        if path.is_file() and path.suffix == ".parquet" and not path.name.startswith("."):
            try:
                pl.read_parquet(path)
            except (pl.exceptions.PolarsError, OSError) as error:
                wrong.append(f"{path}: {error}")
    return wrong
