import pandas as pd
import pytest

from qlops_assets.lake.instruments import canonical, canonical_codes, folder_name


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("SH600000", "SH600000"),
        ("sh600000", "SH600000"),
        ("sh.600000", "SH600000"),
        ("600000.SH", "SH600000"),
        ("600000.ss", "SH600000"),
        ("600000.XSHG", "SH600000"),
        ("000001.XSHE", "SZ000001"),
        ("000001.sz", "SZ000001"),
        ("bj.430047", "BJ430047"),
        (" 600000.SH ", "SH600000"),
        ("brk.b", "BRK.B"),
        ("^GSPC", "^GSPC"),
        ("0700.HK", "0700.HK"),
        ("600000", "600000"),
        ("TRUE", "TRUE"),
        ("na", "NA_"),
        ("NULL", "NULL_"),
        ("nan", "NAN_"),
        ("CON", "CON_"),
        ("lpt1", "LPT1_"),
        ("..", ".._"),
    ],
)
def test_canonical_code_is_qlibs(given: str, expected: str) -> None:
    assert canonical(given) == expected
    assert canonical(expected) == expected


@pytest.mark.parametrize("code", ["A/B", "A\\B", "A\tB", "A\nB", "", "  ", "A\x00", "A" * 101])
def test_canonical_of_an_impossible_code_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match="code"):
        canonical(code)


def test_canonical_codes_survive_pandas_reading_a_list_as_qlib_does(tmp_path) -> None:
    words = ["NA", "NULL", "NaN", "None", "n/a".replace("/", ""), "nan", "#NA", "<NA>", "TRUE"]
    words += ["1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN", "-nan", "null"]
    codes = list(dict.fromkeys(canonical(word) for word in words))
    path = tmp_path / "all.txt"
    path.write_text("".join(f"{code}\t2020-01-01\t2020-12-31\n" for code in codes))
    # Qlib 0.9.7, data/storage/file_storage.py: read_csv without keep_default_na.
    read = pd.read_csv(
        path, sep="\t", usecols=[0, 1, 2], names=["inst", "start", "end"], dtype={"inst": str}
    )
    assert read["inst"].tolist() == codes


def test_codes_are_mapped_each_to_its_own_instrument() -> None:
    assert canonical_codes(["sh.600000", "NA", "BRK.B", "sh.600000"]) == {
        "BRK.B": "BRK.B",
        "NA": "NA_",
        "sh.600000": "SH600000",
    }


@pytest.mark.parametrize(
    "codes", [("brka", "BRKA"), ("SH600000", "600000.XSHG"), ("CON", "con_"), (" AAPL", "AAPL")]
)
def test_two_codes_of_one_instrument_are_refused(codes: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="which both mean"):
        canonical_codes(codes)


@pytest.mark.parametrize(
    "code", ["SH600000", "con", "PRN", "COM0", "lpt9", "COM10", "CON_", "BRK.B", "^GSPC", "Aux"]
)
def test_folder_of_a_code_is_where_qlib_looks(code: str) -> None:
    from qlib.utils import code_to_fname

    assert folder_name(code) == code_to_fname(code).lower()
