"""A damaged provider is an error that names the file and the place; Qlib itself is silent."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlops_assets.core.errors import ConversionError
from qlops_assets.lake.conversions.bin_lists import universes
from qlops_assets.lake.conversions.bin_reader import read_provider
from qlops_assets_tests.support.conversion_frames import DAYS, frame_of
from qlops_assets_tests.support.plain_provider import write_plain_provider

NAN = float("nan")
CLOSE = "features/aapl/close.day.bin"


def provider_at(folder: Path) -> Path:
    rows = [("AAPL", day, 1, 2, 0.5, 1.5, 100, 1.25, 2) for day in DAYS]
    return write_plain_provider(folder, frame_of([*rows, ("B", DAYS[3], 1, 2, 0.5, 1, 9, 1, 2)]))


@pytest.fixture
def provider(tmp_path) -> Path:
    return provider_at(tmp_path / "provider")


def floats(*numbers: float) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(struct.pack(f"<{len(numbers)}f", *numbers))


def text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


@pytest.mark.parametrize(
    ("name", "damage", "found"),
    [
        (CLOSE, lambda p: p.write_bytes(p.read_bytes()[:-1]), "holds 51 bytes"),
        (CLOSE, lambda p: p.write_bytes(b""), "holds 0 bytes"),
        (CLOSE, floats(NAN, 1), "first value is at place nan"),
        (CLOSE, floats(float("inf"), 1), "first value is at place inf"),
        (CLOSE, floats(-1, 1), "first value is at place -1"),
        (CLOSE, floats(0.5, 1), "first value is at place 0.5"),
        (CLOSE, floats(12, 1), "holds 1 values from place 12 on, of 12 days"),
        (CLOSE, floats(12), "holds 0 values from place 12 on, of 12 days"),
        (CLOSE, floats(2, *[1.0] * 11), "holds 11 values from place 2 on, of 12 days"),
        (CLOSE, Path.unlink, "there is no field 'close' of AAPL; Qlib would read NaN"),
        ("calendars/day.txt", Path.unlink, "cannot be read as text"),
        ("calendars/day.txt", text("\n\n"), "has no day"),
        ("calendars/day.txt", text("2020-01-02\n2020-01-02\n"), "line 2: 2020-01-02 again"),
        ("calendars/day.txt", text("2020-01-03\n2020-01-02\n"), "line 2: 2020-01-02 after 2020-01"),
        ("calendars/day.txt", text("2020-01-02\n2020-02-30\n"), "line 2: '2020-02-30' is no day"),
        ("calendars/day.txt", text("garbage\n"), "line 1: 'garbage' is no day"),
        ("calendars/day.txt", lambda p: p.write_bytes(b"\xff\xfe2"), "cannot be read as text"),
        ("instruments/all.txt", Path.unlink, "there is no such list"),
        ("instruments/all.txt", text(""), "has no line"),
        ("instruments/all.txt", text("AAPL 2020-01-02 2020-01-03\n"), "line 1: found 'AAPL 2020"),
        ("instruments/all.txt", text("AAPL\t2020-01-02\n"), "line 1: found 'AAPL 2020-01-02'"),
        ("instruments/all.txt", text("\t2020-01-02\t2020-01-03\n"), "line 1: found"),
        ("instruments/all.txt", text("\nAAPL\tx\t2020-01-03\n"), "line 2: 'x' is no day"),
        (
            "instruments/all.txt",
            text("AAPL\t2020-01-03\t2020-01-02\n"),
            "line 1: starts on 2020-01-03, after its end on 2020-01-02",
        ),
        ("instruments/all.txt", text('"AAPL\t2020-01-02\t2020-01-03\n'), "line 1: "),
        (
            "instruments/all.txt",
            text("brka\t2020-01-02\t2020-01-03\nBRKA\t2020-01-02\t2020-01-03\n"),
            "holds codes 'BRKA' and 'brka', which both mean BRKA",
        ),
        ("instruments/all.txt", text("A/B\t2020-01-02\t2020-01-03\n"), "cannot name a file"),
        (
            "instruments/all.txt",
            text("GONE\t2020-01-02\t2020-01-03\nAAPL\t2020-01-02\t2020-01-03\n"),
            "has no folder of 1 instruments: GONE; Qlib keeps GONE in features/gone",
        ),
    ],
)
def test_damage_is_named_with_its_place(provider: Path, name: str, damage, found: str) -> None:
    damage(provider / name)
    with pytest.raises(ConversionError) as caught:
        read_provider(provider)
    assert found in str(caught.value)
    where = provider / ("features" if "no folder" in found else name)
    assert str(caught.value).startswith(f"{where}: ")


def test_unknown_list_names_the_nearest(provider: Path) -> None:
    (provider / "instruments" / "csi300.txt").write_text("AAPL\t2020-01-02\t2020-01-03\n")
    with pytest.raises(ConversionError, match=r"did you mean 'csi300'\?; Known: all, csi300"):
        read_provider(provider, instruments="csi30")


def test_damaged_universe_is_named(provider: Path) -> None:
    (provider / "instruments" / "pool.txt").write_text("AAPL\t2020-01-02\n")
    with pytest.raises(ConversionError, match=r"pool\.txt: line 1"):
        universes(provider)


@pytest.mark.parametrize("codes", [["GONE"], ["A/B"], ["AAPL", "GONE"]])
def test_unknown_codes_are_named(provider: Path, codes: list[str]) -> None:
    with pytest.raises(ConversionError, match=r"GONE|A/B"):
        read_provider(provider, instruments=codes)


def test_folder_that_is_no_provider_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"no such list|cannot be read"):
        read_provider(tmp_path / "none")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_bytes_are_read_or_refused_in_our_words(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    provider = provider_at(tmp_path_factory.mktemp("any") / "provider")
    paths = sorted(p for p in provider.rglob("*") if p.is_file() and "future" not in p.name)
    path = data.draw(st.sampled_from(paths))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    try:
        frame = read_provider(provider)
    except ConversionError:
        return  # any other error fails the test
    assert frame.height > 0
