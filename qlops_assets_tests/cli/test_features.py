"""``qlops features``: what it says of the table, as text and as JSON."""

import json
from datetime import UTC, datetime

import pytest

from qlops_assets.core.atomic import write_json
from qlops_assets.core.settings import Settings
from qlops_assets.features.store import FeatureStore
from qlops_assets_tests.cli.conftest import Qlops


@pytest.fixture
def home(own_market: Settings) -> Settings:
    FeatureStore(own_market).tag("model-1")
    write_json(own_market.source_file, {"path": str(own_market.source.path)})  # as the demo does
    return own_market


def test_status_tells_the_version_its_columns_and_tags(qlops: Qlops, home: Settings) -> None:
    said = qlops("features", "status", "--home", str(home.home))
    assert said.status == 0, said.err
    for words in ("version     1, published", "9,810, 2019-01 to 2020-08", "158 alpha158"):
        assert words in said.out
    assert "model-1 → 1" in said.out


def test_documents_say_the_same(qlops: Qlops, home: Settings) -> None:
    document = json.loads(qlops("features", "status", "--home", str(home.home), "--json").out)
    assert document["version"]["rows"] == 9810
    assert document["tags"] == {"model-1": 1}
    (listed,) = json.loads(qlops("features", "versions", "--home", str(home.home), "--json").out)[
        "versions"
    ]
    assert (listed["number"], listed["tags"]) == (1, ["model-1"])
    assert "model-1" in qlops("features", "versions", "--home", str(home.home)).out


def test_as_of_names_the_version_of_a_moment(qlops: Qlops, home: Settings) -> None:
    now = datetime.now(UTC).isoformat()
    said = qlops("features", "as-of", now, "--home", str(home.home), "--json")
    assert json.loads(said.out)["number"] == 1
    before = qlops("features", "as-of", "2001-01-01T00:00+08:00", "--home", str(home.home))
    assert before.status == 1
    assert "the oldest kept is of" in before.err
    for wrong in ("yesterday", "2026-01-31T18:00"):
        said = qlops("features", "as-of", wrong, "--home", str(home.home))
        assert said.status == 2
        assert "a time with its zone" in said.err


def test_compact_and_untag_tell_what_they_did(qlops: Qlops, home: Settings) -> None:
    said = qlops("features", "compact", "--home", str(home.home))
    assert said.status == 0, said.err
    assert "let go      nothing" in said.out
    assert qlops("features", "untag", "model-1", "--home", str(home.home)).status == 0
    again = qlops("features", "untag", "model-1", "--home", str(home.home))
    assert again.status == 1
    assert "there is no tag" in again.err


def test_home_without_a_table_says_how_one_comes_about(qlops: Qlops, tmp_path) -> None:
    for name in ("status", "versions"):
        said = qlops("features", name, "--home", str(tmp_path))
        assert said.status == 0
        assert "no version yet" in said.out
