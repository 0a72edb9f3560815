import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qlops_assets.core.atomic import (
    new_folder,
    output_folder,
    read_json,
    remove_folder,
    remove_leftovers,
    replacing,
    write_json,
    write_text,
)

ROOT = Path(__file__).parents[2]
WRITER = """
import sys
from pathlib import Path
from qlops_assets.core.atomic import new_folder, write_text
folder = Path(sys.argv[1])
print("ready", flush=True)
number = 0
while True:
    number += 1
    write_text(folder / "file", str(number % 10) * 2_000_000)
    with new_folder(folder / f"made-{number}") as made:
        for part in range(5):
            (made / str(part)).write_text(str(part))
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class InterruptedByTestError(Exception):
    """Something goes wrong in the middle."""


def write_half(path: Path) -> None:
    path.write_text("half", encoding="utf-8")
    raise InterruptedByTestError


def replace_half(path: Path) -> None:
    with replacing(path) as temporary:
        write_half(temporary)


def make_half(path: Path) -> None:
    with new_folder(path) as made:
        write_half(made / "a")


def test_replacing_shows_the_new_content_only_when_done(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
    assert path.read_text(encoding="utf-8") == "new"
    assert names(path.parent) == ["file"]


def test_replacing_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(InterruptedByTestError):
        replace_half(path)
    assert path.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["file"]


def test_new_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "made"
    with pytest.raises(InterruptedByTestError):
        make_half(target)
    assert names(target.parent) == []
    with new_folder(target) as made:
        (made / "a").write_text("a", encoding="utf-8")
        assert not target.exists()
    assert names(target.parent) == ["made"]


def test_new_folder_that_another_made_meanwhile_keeps_the_others(tmp_path: Path) -> None:
    target = tmp_path / "made"
    with new_folder(target) as mine:
        (mine / "a").write_text("mine", encoding="utf-8")
        with new_folder(target) as theirs:
            (theirs / "a").write_text("theirs", encoding="utf-8")
    assert (target / "a").read_text(encoding="utf-8") == "theirs"
    assert names(tmp_path) == ["made"]


def test_new_folder_in_the_place_of_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "made").write_text("a file", encoding="utf-8")
    with pytest.raises(OSError, match="made"), new_folder(tmp_path / "made"):
        pass
    assert (tmp_path / "made").read_text(encoding="utf-8") == "a file"


def test_kill_in_the_middle_leaves_whole_files_and_folders(tmp_path: Path) -> None:
    chance = random.Random(3)
    for _ in range(6):
        arguments = [sys.executable, "-c", WRITER, str(tmp_path)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=ROOT) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(chance.uniform(0.0, 0.15))
            writer.send_signal(signal.SIGKILL)
        if (tmp_path / "file").exists():
            text = (tmp_path / "file").read_text(encoding="utf-8")
            assert len(text) == 2_000_000
            assert len(set(text)) == 1
        for made in tmp_path.glob("made-*"):
            assert names(made) == ["0", "1", "2", "3", "4"]
    assert (tmp_path / "file").exists()


def test_removed_folder_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "made" / "deep").mkdir(parents=True)
    remove_folder(tmp_path / "made")
    remove_folder(tmp_path / "made")
    assert names(tmp_path) == []


def test_leftovers_are_removed_when_old(tmp_path: Path) -> None:
    remove_leftovers(tmp_path / "nowhere")
    for name in (".a.1.tmp", "a.tmp", ".b"):
        (tmp_path / name).write_text("x", encoding="utf-8")
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".folder.2.tmp" / "deep").mkdir(parents=True)
    os.utime(tmp_path / ".folder.2.tmp", (0, 0))
    (tmp_path / ".fresh.3.tmp").write_text("x", encoding="utf-8")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [".b", ".fresh.3.tmp", "a.tmp"]


def test_json_is_read_as_it_was_written(tmp_path: Path) -> None:
    value = {"name": "沪深300", "numbers": [1, 2.5, None, True]}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == value
    assert read_json(tmp_path / "b.json") is None


@pytest.mark.parametrize("is_there", [True, False])
def test_output_folder_takes_an_empty_place(tmp_path: Path, is_there: bool) -> None:
    if is_there:
        (tmp_path / "out").mkdir()
    with output_folder(tmp_path / "out") as made:
        (made / "a").write_text("a")
        assert not list((tmp_path / "out").glob("*"))
    assert names(tmp_path / "out") == ["a"]
    assert names(tmp_path) == ["out"]


def test_output_folder_never_takes_the_place_of_anything(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "folder", "link"):
        with pytest.raises(FileExistsError, match="not empty"), output_folder(tmp_path / name):
            raise AssertionError
    assert names(tmp_path) == ["file", "folder", "link"]


def test_output_folder_that_another_filled_meanwhile_is_an_error(tmp_path: Path) -> None:
    def both_fill(out: Path) -> None:
        with output_folder(out) as made:
            (made / "a").write_text("ours")
            out.mkdir()
            (out / "a").write_text("theirs")

    with pytest.raises(FileExistsError, match="not empty"):
        both_fill(tmp_path / "out")
    assert (tmp_path / "out" / "a").read_text() == "theirs"
    assert names(tmp_path) == ["out"]
