"""Selections under a name: what is kept of them, and what cannot be saved or read."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from qlops_assets.core.errors import SelectionError
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.factors.analysis.selection import Decision, Selection, SelectionRules
from qlops_assets.factors.report import FactorReportRecord, Scope
from qlops_assets.training.selections import load_selection, save_selection, selection_names

FIRST, LAST = date(2019, 1, 2), date(2019, 12, 30)


def selection(*kept: str, last: date = LAST) -> Selection:
    decisions = [
        Decision(name, name in kept, "kept" if name in kept else "effect", "because", {"days": 9})
        for name in ("KMID", "ROC5", "STD20")
    ]
    return Selection(list(kept), decisions, SelectionRules(), FIRST, last)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def journal(settings: Settings) -> Journal:
    return Journal(settings.journal_url)


@pytest.fixture
def report(settings: Settings) -> FactorReportRecord:
    """A record as it is stored; what it measured is not looked at here."""
    return FactorReportRecord(
        digest="d" * 32,
        folder=settings.lake,
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        scope=Scope(),
        snapshot="s" * 32,
        rows={"alpha158": "r"},
        code_versions={"alpha158": "native-1"},
        expressions={"KMID": "($close-$open)/$open"},
        universe="core",
        source="market",
        simulated=False,
        analysis=None,  # type: ignore[arg-type]
        training=None,
        rules=SelectionRules(),
    )


def test_selection_is_read_as_it_was_saved(
    settings: Settings, journal: Journal, report: FactorReportRecord
) -> None:
    saved = save_selection(
        settings, journal, "top.2-a_B", selection("ROC5", "KMID"), report, by="mei"
    )
    assert load_selection(settings, "top.2-a_B") == saved
    assert saved.factors == ["ROC5", "KMID"]
    assert (saved.first, saved.last, saved.report) == (FIRST, LAST, report.digest)
    assert selection_names(settings) == ["top.2-a_B"]
    document = json.loads(saved.path.read_text())
    assert document["by"] == "mei"
    assert [d["reason"] for d in document["decided"]["decisions"]] == ["because"] * 3
    (event,) = journal.read("factors")
    assert event.kind == "selection_saved"
    facts = {"name": "top.2-a_B", "digest": saved.digest, "by": "mei", "factors": 2}
    assert facts.items() <= dict(event.data).items()


def test_digest_is_of_what_was_decided_not_of_when_or_by_whom(
    settings: Settings, journal: Journal, report: FactorReportRecord
) -> None:
    digests = [
        save_selection(settings, journal, name, chosen, report, by=by).digest
        for name, chosen, by in (
            ("a", selection("KMID"), "mei"),
            ("b", selection("KMID"), "tom"),
            ("c", selection("ROC5"), "mei"),
            ("d", selection("KMID", last=date(2019, 12, 27)), "mei"),
        )
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_saving_the_same_again_changes_nothing(
    settings: Settings, journal: Journal, report: FactorReportRecord
) -> None:
    first = save_selection(settings, journal, "a", selection("KMID"), report, by="mei")
    before = first.path.read_bytes()
    save_selection(settings, journal, "a", selection("KMID"), report, by="tom")
    assert first.path.read_bytes() == before
    assert len(journal.read("factors")) == 1


def test_another_selection_takes_a_name_only_where_asked_to(
    settings: Settings, journal: Journal, report: FactorReportRecord
) -> None:
    save_selection(settings, journal, "a", selection("KMID"), report, by="mei")
    with pytest.raises(SelectionError, match=r"a\.json: is there already; .* --replace"):
        save_selection(settings, journal, "a", selection("ROC5"), report, by="mei")
    assert load_selection(settings, "a").factors == ["KMID"]
    save_selection(settings, journal, "a", selection("ROC5"), report, by="mei", replace=True)
    assert load_selection(settings, "a").factors == ["ROC5"]
    assert len(journal.read("factors")) == 2


@pytest.mark.parametrize("name", ["", ".hidden", "../out", "a/b", "a b", "a" * 65, "ä", "-a"])
def test_name_that_is_no_file_name_everywhere_is_refused(
    settings: Settings, journal: Journal, report: FactorReportRecord, name: str
) -> None:
    with pytest.raises(SelectionError, match="a name has 1 to 64 letters, digits"):
        save_selection(settings, journal, name, selection("KMID"), report, by="mei")
    with pytest.raises(SelectionError, match="a name has 1 to 64 letters"):
        load_selection(settings, name)
    assert list(settings.home.rglob("*.json")) == []


def test_selection_that_keeps_nothing_is_not_saved(
    settings: Settings, journal: Journal, report: FactorReportRecord
) -> None:
    with pytest.raises(SelectionError, match=r"no factor was kept; .*loosen its rules"):
        save_selection(settings, journal, "none", selection(), report, by="mei")
    assert selection_names(settings) == []
    assert journal.read("factors") == []


def test_unknown_selection_names_the_nearest_and_those_there_are(
    settings: Settings, journal: Journal, report: FactorReportRecord
) -> None:
    with pytest.raises(SelectionError, match=r"no selection 'momentun'; there are: none; `qlops"):
        load_selection(settings, "momentun")
    for name in ("momentum", "value"):
        save_selection(settings, journal, name, selection("KMID"), report, by="mei")
    expected = "did you mean 'momentum'.*there are: momentum, value"
    with pytest.raises(SelectionError, match=expected):
        load_selection(settings, "momentun")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[]", "is not an object"),
        (b"{}", "is damaged"),
        (b'{"digest": "x", "decided": {}}', "was changed after it was saved"),
    ],
)
def test_damaged_selection_is_refused(settings: Settings, content: bytes, message: str) -> None:
    settings.selections.mkdir()
    (settings.selections / "a.json").write_bytes(content)
    with pytest.raises(SelectionError, match=f"a.json: {message}.*; save it again"):
        load_selection(settings, "a")


@pytest.mark.parametrize("change", [{"last": "2019-06-28"}, {"kept": ["STD20"]}])
def test_selection_that_was_changed_by_hand_is_refused(
    settings: Settings, journal: Journal, report: FactorReportRecord, change: dict[str, object]
) -> None:
    """Its dates decide whether a training may use it."""
    path = save_selection(settings, journal, "a", selection("KMID"), report, by="mei").path
    document = json.loads(path.read_text())
    document["decided"] |= change
    path.write_text(json.dumps(document))
    with pytest.raises(SelectionError, match="was changed after it was saved; save it again"):
        load_selection(settings, "a")


def test_numbers_without_a_value_survive(
    settings: Settings, journal: Journal, report: FactorReportRecord
) -> None:
    chosen = selection("KMID")
    odd = [replace(d, numbers={"rank_ic": None, "q": 1e-300}) for d in chosen.decisions]
    saved = save_selection(settings, journal, "a", replace(chosen, decisions=odd), report, by="mei")
    assert load_selection(settings, "a") == saved
