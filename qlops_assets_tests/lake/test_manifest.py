import json
from dataclasses import replace
from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from qlops_assets.lake.manifest import (
    Manifest,
    QuarantinedFile,
    SourceFile,
    WaitingFile,
    changed_months,
    content_version,
    difference,
    month_versions,
)

NOON = datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=UTC)
MONTHS = ["2020-01", "2020-02", "2020-03", "2020-04"]


def file_of(path: str, digest: str = "d", months: tuple[str, ...] = ("2020-01",)) -> SourceFile:
    return SourceFile(
        path, digest, 10, NOON, NOON, months, 5, date(2020, 1, 2), date(2020, 1, 31), 2, None, 1, 2,
        (("year", "2020"),),
    )  # fmt: skip


def manifest_of(
    *files: SourceFile,
    quarantined: tuple[QuarantinedFile, ...] = (),
    waiting: tuple[WaitingFile, ...] = (),
) -> Manifest:
    return Manifest("/s", files, quarantined, waiting, content_version(files), NOON, 5, "r")


def test_manifest_survives_json() -> None:
    check = file_of("b")
    manifest = manifest_of(
        file_of("a"),
        quarantined=(
            QuarantinedFile("b", "e", 3, NOON, "bad", check),
            QuarantinedFile("c", "f", 3, NOON, "worse"),
        ),
        waiting=(WaitingFile("d", "fresh"),),
    )
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest


def test_held_files_are_those_that_are_used_and_amiss() -> None:
    manifest = manifest_of(
        file_of("a"), file_of("b"), file_of("c"),
        quarantined=tuple(QuarantinedFile(path, "e", 3, NOON, "bad") for path in "bx"),
        waiting=(WaitingFile("c", "fresh"),),
    )  # fmt: skip
    assert manifest.held == ["b", "c"]


states = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.tuples(st.sampled_from(["d1", "d2"]), st.sets(st.sampled_from(MONTHS), min_size=1)),
)


@given(old=states, new=states)
def test_changed_months_are_those_whose_set_of_files_differs(old: dict, new: dict) -> None:
    def manifest(state: dict) -> Manifest:
        return manifest_of(*(file_of(p, d, tuple(sorted(m))) for p, (d, m) in state.items()))

    def touching(state: dict, month: str) -> set:
        return {(path, digest) for path, (digest, months) in state.items() if month in months}

    expected = {month for month in MONTHS if touching(old, month) != touching(new, month)}
    assert changed_months(manifest(old), manifest(new)) == expected


def test_changed_months_without_a_manifest_before_are_all() -> None:
    new = manifest_of(file_of("a", months=("2020-01", "2020-03")))
    assert changed_months(None, new) == {"2020-01", "2020-03"}


def test_month_version_depends_on_path_and_digest_alone() -> None:
    one = file_of("a", "d1", ("2020-01", "2020-02"))
    same = replace(one, size=99, modified_at=datetime(2030, 1, 1, tzinfo=UTC), rows=7)
    assert month_versions(manifest_of(one)) == month_versions(manifest_of(same))
    for other in (replace(one, path="b"), replace(one, digest="d2")):
        versions = month_versions(manifest_of(other))
        assert versions.keys() == {"2020-01", "2020-02"}
        assert not set(versions.values()) & set(month_versions(manifest_of(one)).values())


def test_month_versions_do_not_depend_on_the_order_of_files() -> None:
    a, b = file_of("a"), file_of("b")
    assert month_versions(manifest_of(a, b)) == month_versions(manifest_of(b, a))
    assert manifest_of(a, b).digest == manifest_of(b, a).digest


def test_difference_names_files_that_came_changed_went_or_broke() -> None:
    old = manifest_of(
        file_of("gone", months=("2020-01",)), file_of("edited", "d1", ("2020-02",)), file_of("same")
    )
    new = manifest_of(
        file_of("edited", "d2", ("2020-02", "2020-03")),
        file_of("same"),
        file_of("fresh", "d", ("2020-04",)),
        quarantined=(QuarantinedFile("broken", "e", 3, NOON, "bad"),),
    )  # fmt: skip
    found = difference(old, new)
    assert (found.added, found.changed, found.removed) == (("fresh",), ("edited",), ("gone",))
    assert found.quarantined == ("broken",)
    assert found.months == ("2020-01", "2020-02", "2020-03", "2020-04")
    assert difference(new, new).quarantined == ()
