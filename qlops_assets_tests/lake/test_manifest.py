import json
from dataclasses import replace
from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from qlops_assets.lake.manifest import (
    Manifest,
    OtherFile,
    QuarantinedFile,
    SourceFile,
    WaitingFile,
    changed_months,
    content_version,
    difference,
)

NOON = datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=UTC)
MONTHS = ["2020-01", "2020-02", "2020-03", "2020-04"]


def file_of(path: str, digest: str = "d", months: tuple[str, ...] = ("2020-01",)) -> SourceFile:
    return SourceFile(
        path, digest, 10, NOON, NOON, months, 5, date(2020, 1, 2), date(2020, 1, 31), 2, None, 1, 2,
        (("year", "2020"),),
    )  # fmt: skip


def months_of(files: tuple[SourceFile, ...]) -> dict[str, str]:
    return {
        m: "+".join(sorted(f.digest for f in files if m in f.months))
        for f in files
        for m in f.months
    }


def manifest_of(
    *files: SourceFile,
    quarantined: tuple[QuarantinedFile, ...] = (),
    waiting: tuple[WaitingFile, ...] = (),
) -> Manifest:
    return Manifest(
        "/s", files, quarantined, waiting, content_version(files), NOON, 5, "r", months_of(files)
    )


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
    manifest = replace(manifest, below="bars/", others=(OtherFile("csi300.txt", "u", 3, NOON),))
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
def test_changed_months_are_those_that_say_something_else(old: dict, new: dict) -> None:
    def manifest(state: dict) -> Manifest:
        return manifest_of(*(file_of(p, d, tuple(sorted(m))) for p, (d, m) in state.items()))

    def touching(state: dict, month: str) -> list:
        return sorted(digest for digest, months in state.values() if month in months)

    expected = {month for month in MONTHS if touching(old, month) != touching(new, month)}
    assert changed_months(manifest(old), manifest(new)) == expected


def test_changed_months_without_a_manifest_before_are_all() -> None:
    new = manifest_of(file_of("a", months=("2020-01", "2020-03")))
    assert changed_months(None, new) == {"2020-01", "2020-03"}


def test_digest_depends_on_paths_and_bytes_and_not_on_the_order_of_files() -> None:
    a, b = file_of("a"), file_of("b")
    other = OtherFile("csi300.txt", "u", 3, NOON)
    assert manifest_of(a, b).digest == manifest_of(b, a).digest
    assert len({content_version((a,)), content_version((b,)), content_version((a,), (other,))}) == 3
    assert content_version((replace(a, size=99, rows=7),)) == content_version((a,))


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
