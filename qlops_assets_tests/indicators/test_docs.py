"""``docs/indicators.md`` says what the catalog says, and its examples run."""

import re
import tomllib
from pathlib import Path

import polars as pl
import pytest

from qlops_assets.indicators.apply import indicators
from qlops_assets.indicators.names import column, columns
from qlops_assets.indicators.own import OwnIndicator, require_usable
from qlops_assets_tests.support.indicator_bars import walks
from qlops_assets_tests.support.indicator_page import PAGE, tables, written

TEXT = PAGE.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)


def test_tables_of_the_page_are_the_catalogs() -> None:
    """Otherwise: python -m qlops_assets_tests.support.indicator_page."""
    assert written() == tables()


def test_names_of_the_text_are_names_of_indicators() -> None:
    (chosen,) = (block for block in blocks("toml") if "names =" in block)
    columns(tomllib.loads(chosen)["indicators"]["names"])
    for name in ("macd_8_17", "sar_0p01_0p1", "stoch_9_3_3_d", "hv_20_365", "bbands_10_1p5_upper"):
        assert name in TEXT
        column(name)
    assert column("macd_8_17").parameters == column("macd_8_17_9").parameters
    assert column("rsi").parameters == column("rsi_14").parameters


def test_own_ones_of_the_page_can_be_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (module,) = (block for block in blocks("python") if block.startswith("# my_indicators.py"))
    (tmp_path / "my_indicators.py").write_text(module, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    (written_down,) = (block for block in blocks("toml") if "[indicators.own]" in block)
    texts = tomllib.loads(written_down)["indicators"]["own"]
    own = require_usable({name: OwnIndicator(name, text) for name, text in texts.items()})
    bars = walks(5, (80, 60)).with_columns(vwap=pl.col("close"), factor=pl.lit(1.0))
    rows = indicators(bars, ["rsi_14"], own=own)
    assert rows.columns == ["instrument", "date", "rsi_14", *own]
    for name in own:
        assert rows[name].drop_nulls().len() > 50, name
    by_hand = bars["open"][1] / bars["close"][0] - 1
    assert rows["overnight"].to_list()[:2] == [None, pytest.approx(by_hand)]
    assert rows.filter(pl.col("instrument") == "SH600001")["overnight"][0] is None
