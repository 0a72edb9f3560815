"""Who may approve what, against a model of it that keeps plain dictionaries."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlops_assets.core.errors import DeploymentError, UnknownModelError
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import EnvironmentSettings, Settings
from qlops_assets.deployment.approvals import Approvals, require_environment
from qlops_assets.deployment.history import DeploymentEvent, DeploymentHistory
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent

VERSION = "lightgbm-x-20200101-abcdef"
PEOPLE = ("ada", "bob", "cyd")
ENVIRONMENTS = ("staging", "production")


@dataclass
class House:
    """A home's journal with one version, which can be trained again."""

    home: Path
    places: dict[str, EnvironmentSettings]
    journal: Journal = field(init=False)

    def __post_init__(self) -> None:
        self.settings = Settings(home=self.home, environments=self.places)
        self.journal = Journal(self.settings.journal_url)
        self.registry = Registry(self.journal)
        self.history = DeploymentHistory(self.journal)
        self.approvals = Approvals(self.settings, self.history, self.registry)

    def train(self, sha256: str) -> None:
        facts = {"artifact_sha256": sha256}
        self.registry.advance(VERSION, ModelEvent.STARTED, by="t", why="t")
        self.registry.advance(VERSION, ModelEvent.TRAINED, by="t", why="t", facts=facts)


def house(folder: Path, **place: object) -> House:
    given = EnvironmentSettings(port=1, needs_approval=True, **place)  # type: ignore[arg-type]
    made = House(folder, {"staging": EnvironmentSettings(port=2), "production": given})
    made.train("a")
    return made


def test_approval_of_what_was_asked_for_is_an_approval(tmp_path: Path) -> None:
    h = house(tmp_path)
    assert not h.approvals.is_approved("production", VERSION)
    h.approvals.request("production", VERSION, by="ada", why="good figures")
    assert not h.approvals.is_approved("production", VERSION)
    h.approvals.approve("production", VERSION, by="bob", why="agreed")
    assert h.approvals.is_approved("production", VERSION)
    asked, approved = h.history.events("production")
    assert (asked.data["by"], asked.data["why"]) == ("ada", "good figures")
    assert (approved.data["by"], approved.data["evidence"]) == ("bob", "a")


def test_approval_that_nobody_asked_for_is_refused(tmp_path: Path) -> None:
    h = house(tmp_path)
    with pytest.raises(DeploymentError, match=r"nobody asked to deploy .* request it first"):
        h.approvals.approve("production", VERSION, by="bob", why="")
    assert h.history.events("production") == []


def test_approval_by_somebody_who_is_no_approver_is_refused(tmp_path: Path) -> None:
    h = house(tmp_path, approvers=("ada", "cyd"))
    h.approvals.request("production", VERSION, by="bob", why="")
    with pytest.raises(DeploymentError, match="'bob' may not approve; approvers are ada, cyd"):
        h.approvals.approve("production", VERSION, by="bob", why="")
    h.approvals.approve("production", VERSION, by="cyd", why="")
    assert h.approvals.is_approved("production", VERSION)


def test_approval_of_ones_own_request_is_refused_where_the_environment_says_so(
    tmp_path: Path,
) -> None:
    h = house(tmp_path, self_approval=False)
    h.approvals.request("production", VERSION, by="ada", why="")
    with pytest.raises(DeploymentError, match="'ada' asked for this deployment and may not"):
        h.approvals.approve("production", VERSION, by="ada", why="")
    h.approvals.approve("production", VERSION, by="bob", why="")
    assert h.approvals.is_approved("production", VERSION)


def test_approval_does_not_survive_a_changed_artifact(tmp_path: Path) -> None:
    h = house(tmp_path)
    h.approvals.request("production", VERSION, by="ada", why="")
    h.approvals.approve("production", VERSION, by="bob", why="")
    h.train("b")
    assert not h.approvals.is_approved("production", VERSION)
    with pytest.raises(DeploymentError, match="as it is now; request it first"):
        h.approvals.approve("production", VERSION, by="bob", why="")


def test_approval_holds_in_its_environment_only(tmp_path: Path) -> None:
    h = house(tmp_path)
    h.approvals.request("production", VERSION, by="ada", why="")
    h.approvals.approve("production", VERSION, by="bob", why="")
    assert not h.approvals.is_approved("staging", VERSION)


def test_asking_and_approving_again_records_nothing_more(tmp_path: Path) -> None:
    h = house(tmp_path)
    for _ in range(3):
        h.approvals.request("production", VERSION, by="ada", why="")
    for _ in range(3):
        h.approvals.approve("production", VERSION, by="bob", why="")
    assert [e.kind for e in h.history.events("production")] == ["requested", "approved"]


def test_unknown_environment_names_the_nearest(tmp_path: Path) -> None:
    h = house(tmp_path)
    with pytest.raises(DeploymentError, match=r"'prodution'; did you mean 'production'\?"):
        h.approvals.request("prodution", VERSION, by="ada", why="")
    with pytest.raises(DeploymentError, match="Known: staging, production"):
        require_environment(h.settings, "mars")


def test_unknown_version_is_refused(tmp_path: Path) -> None:
    h = house(tmp_path)
    with pytest.raises(UnknownModelError, match="did you mean"):
        h.approvals.request("production", VERSION[:-1], by="ada", why="")


steps = st.one_of(
    st.tuples(st.just("request"), st.sampled_from(ENVIRONMENTS), st.sampled_from(PEOPLE)),
    st.tuples(st.just("approve"), st.sampled_from(ENVIRONMENTS), st.sampled_from(PEOPLE)),
    st.tuples(st.just("reject"), st.sampled_from(ENVIRONMENTS), st.sampled_from(PEOPLE)),
    st.tuples(st.just("train"), st.just(""), st.sampled_from("ab")),
)


@settings(max_examples=30, deadline=None)
@given(
    approvers=st.sampled_from([(), ("ada",), ("ada", "bob")]),
    self_approval=st.booleans(),
    script=st.lists(steps, max_size=14),
)
def test_approvals_agree_with_a_model_of_them(
    approvers: tuple[str, ...],
    self_approval: bool,
    script: list[tuple[str, str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    place = EnvironmentSettings(port=1, approvers=approvers, self_approval=self_approval)
    h = House(tmp_path_factory.mktemp("home"), dict.fromkeys(ENVIRONMENTS, place))
    h.train("a")
    artifact = "a"
    asked: dict[tuple[str, str], str] = {}
    approved: dict[tuple[str, str], bool] = {}
    for what, where, who in script:
        key = (where, artifact)
        if what == "train":
            h.train(who)
            artifact = who
        elif what == "request":
            h.approvals.request(where, VERSION, by=who, why="")
            asked.setdefault(key, who)
        elif what == "reject":
            h.history.record(
                where, VERSION, DeploymentEvent.REJECTED, by=who, why="", evidence=artifact
            )
            approved[key] = False
        else:
            may = not approvers or who in approvers
            may = may and key in asked and (self_approval or asked[key] != who)
            if may:
                h.approvals.approve(where, VERSION, by=who, why="")
                approved[key] = True
            else:
                with pytest.raises(DeploymentError):
                    h.approvals.approve(where, VERSION, by=who, why="")
        for name in ENVIRONMENTS:
            expected = approved.get((name, artifact), False)
            assert h.approvals.is_approved(name, VERSION) == expected
    h.journal.close()
