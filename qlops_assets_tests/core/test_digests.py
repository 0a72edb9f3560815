import hashlib
from datetime import date
from pathlib import Path

import xxhash
from hypothesis import given
from hypothesis import strategies as st

from qlops_assets.core.digests import (
    canonical_json,
    combined_digest,
    file_digest,
    file_sha256,
    value_digest,
)


def test_file_digests_are_those_of_the_whole_content(tmp_path: Path) -> None:
    for content in (b"", b"abc", bytes(range(256)) * 8193):
        path = tmp_path / "file"
        path.write_bytes(content)
        assert file_digest(path) == xxhash.xxh3_128_hexdigest(content)
        assert file_sha256(path) == hashlib.sha256(content).hexdigest()


@given(value=st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.none())))
def test_value_digest_does_not_depend_on_the_order_of_keys(value: dict) -> None:
    backwards = dict(reversed(value.items()))
    assert value_digest(backwards) == value_digest(value)
    assert canonical_json(backwards) == canonical_json(value)


def test_different_values_have_different_digests() -> None:
    values = [1, "1", 1.5, [1], {"1": 1}, None, [], {}, date(2020, 1, 1)]
    assert len({value_digest(value) for value in values}) == len(values)


def test_combined_digest_depends_on_order_and_borders() -> None:
    combined = {combined_digest(parts) for parts in (["a", "b"], ["b", "a"], ["ab"], ["a"], [])}
    assert len(combined) == 5
