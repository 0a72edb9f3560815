from pathlib import Path

import pytest

from qlops_assets.core.errors import SourceError, UnknownEntryError
from qlops_assets.core.settings import Settings, SourceSettings
from qlops_assets.lake.sources.catalog import SOURCES, layout
from qlops_assets.lake.sources.place import LocalFolder
from qlops_assets.lake.sources.root import SourceRoot, source_root


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(folder: Path, layout_name: str = "auto") -> list[str]:
    return [file.name for file in root(folder).bars(layout_name)]


def root(folder: Path) -> SourceRoot:
    return SourceRoot(LocalFolder(folder))


def test_folder_layout_finds_files_anywhere_below(tmp_path: Path) -> None:
    touch(tmp_path, "2020.parquet", "a/b/2019.PARQUET", "notes.csv")
    assert names(tmp_path) == ["2020.parquet", "a/b/2019.PARQUET"]


def test_what_writers_leave_is_passed_over(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "2020.parquet",
        ".2021.parquet",
        "_metadata.parquet",
        "_temporary/0.parquet",
        ".git/x.parquet",
    )
    assert names(tmp_path) == ["2020.parquet"]


def test_bars_folder_is_taken_before_everything_else(tmp_path: Path) -> None:
    touch(tmp_path, "bars/2020.parquet", "membership.parquet", "benchmark.parquet", "bars.parquet")
    assert names(tmp_path) == ["2020.parquet"]


def test_single_bars_file_is_taken_alone(tmp_path: Path) -> None:
    touch(tmp_path, "bars.parquet", "benchmark.parquet", "membership.parquet")
    assert names(tmp_path) == ["bars.parquet"]


def test_benchmark_is_never_a_part_of_the_bars(tmp_path: Path) -> None:
    touch(tmp_path, "2020.parquet", "benchmark.parquet")
    assert names(tmp_path) == ["2020.parquet"]
    assert [file.entry for file in root(tmp_path).others()] == ["benchmark.parquet"]


def test_hive_folders_give_columns(tmp_path: Path) -> None:
    touch(tmp_path, "instrument=600000.SH/year=2020/0.parquet", "instrument=BRK%2EB/0.parquet")
    found = {f.name: dict(f.constants) for f in root(tmp_path).bars("auto")}
    assert found == {
        "instrument=600000.SH/year=2020/0.parquet": {"instrument": "600000.SH", "year": "2020"},
        "instrument=BRK%2EB/0.parquet": {"instrument": "BRK.B"},
    }


def test_folder_layout_takes_no_columns_from_paths(tmp_path: Path) -> None:
    touch(tmp_path, "year=2020/0.parquet")
    assert [dict(f.constants) for f in root(tmp_path).bars("folder")] == [{}]


@pytest.mark.parametrize("name", SOURCES.names())
def test_every_layout_of_the_catalog_lists_what_it_recognises_in_order(name: str) -> None:
    entries = {
        "folder": ["2020.parquet", "a/2019.parquet"],
        "hive": ["c.parquet", "k=1/a.parquet", "k=2/b.parquet"],
        "qlib-bin": [
            "calendars/day.txt",
            "features/sh600000/close.day.bin",
            "features/sz000001/close.day.bin",
        ],
    }[name]
    assert layout(name, []).recognises(entries)
    assert not layout(name, []).recognises(["README.md"])
    found = [file.name for file in layout(name, []).files(entries, "below/")]
    assert found == sorted(found)
    assert len(found) == (2 if name == "qlib-bin" else len(entries))
    assert layout("auto", entries).__class__ is layout(name, []).__class__


def test_unknown_layout_names_the_nearest(tmp_path: Path) -> None:
    touch(tmp_path, "a.parquet")
    with pytest.raises(
        UnknownEntryError, match=r"unknown source layout 'hives'.*did you mean 'hive'"
    ):
        names(tmp_path, "hives")


def test_link_that_leads_back_is_entered_once(tmp_path: Path) -> None:
    touch(tmp_path, "a/2020.parquet")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert names(tmp_path) == ["a/2020.parquet"]


def test_linked_folder_is_followed(tmp_path: Path) -> None:
    touch(tmp_path, "real/2020.parquet")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "bars").symlink_to(tmp_path / "real")
    assert names(tmp_path / "source") == ["2020.parquet"]


def root_of(path: Path) -> SourceRoot:
    return source_root(Settings(source=SourceSettings(path=path)))


def test_missing_folder_says_what_is_accepted(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"no such folder.*a folder .*of Parquet or CSV files.*bars/"
    ):
        root_of(tmp_path / "nowhere")


def test_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "bars.csv")
    with pytest.raises(SourceError, match="is a file, not a folder"):
        root_of(tmp_path / "bars.csv")


def test_folder_without_parquet_says_what_is_there(tmp_path: Path) -> None:
    touch(tmp_path, "a.xls", "b.xls", "README")
    with pytest.raises(SourceError, match=r"found no Parquet file, but 2 \.xls, 1 files.*accepted"):
        root_of(tmp_path).bars("auto")


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="found no Parquet file, and no other file"):
        root_of(tmp_path).bars("auto")


def test_universe_files_are_text_files_but_the_calendar(tmp_path: Path) -> None:
    touch(tmp_path, "CSI300.txt", "calendar.txt", "notes.md")
    assert [file.entry for file in root(tmp_path).others()] == ["CSI300.txt"]
