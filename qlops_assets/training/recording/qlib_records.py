"""The files and metrics that Qlib's records leave, made from what an evaluation left.

Source: ``SignalRecord``, ``SigAnaRecord`` and ``PortAnaRecord`` of ``qlib.workflow.record_temp``.
What the home does not keep is left out: positions and indicators of each day, and of the report the
columns that say how much money there was.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from qlops_assets.core.columns import DATE, LABEL
from qlops_assets.core.settings import Settings
from qlops_assets.training.evaluation import EQUITY
from qlops_assets.training.exchange.conditions import REGIONS
from qlops_assets.training.fit import predictions_path
from qlops_assets.training.metrics import qlib_series
from qlops_assets.training.recipes import with_recipe

if TYPE_CHECKING:
    import pandas as pd

SIGNAL: Final = "sig_analysis"
PORTFOLIO: Final = "portfolio_analysis"
# Ours -> as SigAnaRecord and PortAnaRecord log it.
HEADLINES: Final[Mapping[str, str]] = {
    "ic": "IC",
    "icir": "ICIR",
    "rank_ic": "Rank IC",
    "rank_icir": "Rank ICIR",
    "long_short": "Long-Short Ann Return",
    "excess_return_with_cost": "1day.excess_return_with_cost.annualized_return",
    "excess_return_without_cost": "1day.excess_return_without_cost.annualized_return",
    "information_ratio": "1day.excess_return_with_cost.information_ratio",
    "max_drawdown": "1day.excess_return_with_cost.max_drawdown",
}


def write_qlib_records(
    folder: Path, settings: Settings, version: str, headlines: Mapping[str, float]
) -> dict[str, float]:
    """Write the files of Qlib's records and return its metrics.

    The pickles are for Qlib's users; nothing of this platform reads them.

    Args:
        folder: Where to.
        settings: Of the home.
        version: An evaluated version.
        headlines: Its metrics by the registry's names.
    """
    from qlib.utils.serial import Serializable

    predictions = pl.read_parquet(predictions_path(settings, version))
    test = predictions.filter(pl.col("segment") == "test")
    score, label = qlib_series(test)
    ic, rank_ic = daily_ic(test)
    report = qlib_report(pl.read_parquet(settings.models / version / EQUITY))
    analysis = _port_analysis(report, with_recipe(settings, version).training.region)
    files: dict[str, Any] = {
        "pred.pkl": score.to_frame("score"),
        "label.pkl": label.to_frame(LABEL),
        f"{SIGNAL}/ic.pkl": ic,
        f"{SIGNAL}/ric.pkl": rank_ic,
        f"{PORTFOLIO}/report_normal_1day.pkl": report,
        f"{PORTFOLIO}/port_analysis_1day.pkl": analysis,
    }
    for name, value in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        Serializable.general_dump(value, folder / name)
    # What the registry knows is said as the registry says it, to the last bit.
    known = {HEADLINES[ours]: value for ours, value in headlines.items()}
    return {**_risks(analysis), **known}


def daily_ic(test: pl.DataFrame) -> "tuple[pd.Series[float], pd.Series[float]]":
    """Return IC and Rank IC by day, as ``calc_ic`` has them at a tenth of its time.

    Args:
        test: Columns date, score and the raw label ``LABEL0``.
    """
    import pandas as pd

    known = pl.col("score").is_not_nan() & pl.col(LABEL).fill_null(float("nan")).is_not_nan()
    daily = (
        test.with_columns(pl.col(LABEL).cast(pl.Float64))
        .group_by(DATE)
        .agg(
            pl.corr(
                pl.col("score").filter(known), pl.col(LABEL).filter(known), method=method
            ).alias(method)
            for method in ("pearson", "spearman")
        )
        .sort(DATE)
    )
    index = pd.DatetimeIndex(daily.get_column(DATE).to_numpy().astype("datetime64[ns]"))
    index.name = "datetime"
    ic, rank_ic = (
        pd.Series(daily.get_column(name).fill_null(float("nan")).to_numpy(), index=index)
        for name in ("pearson", "spearman")
    )
    return ic, rank_ic


def qlib_report(by_day: pl.DataFrame) -> "pd.DataFrame":
    """Return the backtest by day with Qlib's columns: what its analyses and graphs ask for.

    Args:
        by_day: The table of ``backtest.run_backtest``.
    """
    import pandas as pd

    index = pd.DatetimeIndex(by_day.get_column(DATE).to_numpy().astype("datetime64[ns]"))
    index.name = "datetime"
    columns = {
        "return": by_day.get_column("strategy") + by_day.get_column("cost"),
        "turnover": by_day.get_column("turnover"),
        "cost": by_day.get_column("cost"),
        "bench": by_day.get_column("benchmark"),
    }
    return pd.DataFrame({k: v.to_numpy() for k, v in columns.items()}, index=index)


def _risks(analysis: "pd.DataFrame") -> dict[str, float]:
    return {
        f"1day.{kind}.{name}": float(analysis.loc[(kind, name), "risk"])
        for kind, name in analysis.index.to_list()
    }


def _port_analysis(report: "pd.DataFrame", region: str) -> "pd.DataFrame":
    import pandas as pd
    from qlib.contrib.evaluate import risk_analysis

    days, gross = REGIONS[region].days_a_year, report["return"] - report["bench"]
    analysis: pd.DataFrame = pd.concat(
        {
            "excess_return_without_cost": risk_analysis(gross, N=days, freq=None),
            "excess_return_with_cost": risk_analysis(gross - report["cost"], N=days, freq=None),
        }
    )
    return analysis
