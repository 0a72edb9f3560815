"""The main job ended in the middle: nothing is lost, nothing half done, and it goes on."""

import pytest

from qlops_assets_tests.acceptance.conftest import Chapter
from qlops_assets_tests.support.journeys import Journey

SOON_S = 30.0  # on busy cores; a second or two on idle ones


@pytest.fixture(params=["factors", "fit"])
def chapter(
    request: pytest.FixtureRequest, interrupted: Chapter, interrupted_again: Chapter
) -> Chapter:
    """Ctrl-C while factors are computed by Qlib, and while LightGBM fits."""
    return interrupted if request.param == "factors" else interrupted_again


def test_ctrl_c_ends_the_job_with_one_line(chapter: Chapter) -> None:
    finished = chapter.finished
    assert finished.status == 130
    assert finished.error == "interrupted; run the same command again to continue"
    assert "Traceback" not in finished.err
    assert finished.out == ""
    assert finished.wall_s < SOON_S


def test_ctrl_c_leaves_no_run_under_way(interrupted: Chapter, interrupted_again: Chapter) -> None:
    assert interrupted.runs == [("refresh_bars", "SUCCESS"), ("refresh_factors", "FAILURE")]
    assert interrupted_again.runs[2:] == [
        ("refresh_factors", "SUCCESS"),
        ("refresh_indicators", "SUCCESS"),
        ("refresh_features", "SUCCESS"),
        ("train_model", "FAILURE"),
    ]


def test_ctrl_c_leaves_no_broken_file(chapter: Chapter) -> None:
    assert chapter.facts["damage"] == []


def test_interrupted_steps_are_known_to_the_journal(journey: Journey, first: Chapter) -> None:
    failed = [e.data for e in journey.events("pipeline") if e.kind == "step_failed"]
    assert [(f["asset"], f["kind"]) for f in failed] == [
        ("alpha158_factors", "DagsterExecutionInterruptedError"),
        ("trained_model", "DagsterExecutionInterruptedError"),
    ]


def test_kill_leaves_no_broken_file(killed: Chapter) -> None:
    assert killed.finished.status == -9
    assert killed.facts["damage"] == []


def test_run_of_a_killed_process_is_ended_by_the_next(killed: Chapter, first: Chapter) -> None:
    assert killed.runs[-1] == ("train_model", "STARTED")
    assert ("train_model", "STARTED") not in first.runs
    assert first.runs[len(killed.runs) - 1] == ("train_model", "FAILURE")


def test_job_goes_on_where_it_was_ended(killed: Chapter, first: Chapter) -> None:
    assert first.finished.status == 0
    assert first.document["skipped"] == [
        *("bars", "alpha158_factors", "indicator_features", "feature_table")
    ]
    again = first.runs[len(killed.runs) :]
    assert again == [
        ("train_model", "SUCCESS"),
        ("deploy_model", "SUCCESS"),
        ("deploy_model", "SUCCESS"),
    ]


def test_no_temporary_file_stays_in_use(journey: Journey, first: Chapter) -> None:
    models = journey.home / "models" / str(first.document["model_version"])
    assert [p.name for p in models.rglob("*") if ".tmp" in p.name] == []
