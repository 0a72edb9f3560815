"""Factor reports as ``qlops factor report`` leaves them, of factors whose merits are known."""

import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from qlops_assets.core.atomic import write_json
from qlops_assets.core.settings import Settings
from qlops_assets.factors.analysis.analysis import FactorAnalysis, analyse
from qlops_assets.factors.analysis.files import save
from qlops_assets.factors.analysis.rules import AnalysisRules
from qlops_assets.factors.analysis.selection import SelectionRules
from qlops_assets.factors.report import (
    ANALYSIS,
    RECORD,
    FactorReportRecord,
    Scope,
    reports_folder,
)
from qlops_assets_tests.support.factor_frames import (
    factor_frame,
    next_day_returns,
    random_bars,
    random_factors,
)

DAYS, NAMES = 300, 40
HOSTILE = '<img src=x onerror="alert(1)">'
FORMULA = "=1+1"
# Rank IC of GOOD is planted; AGAINST is its mirror image with a little noise, so they are alike;
# F0 to F7 are noise; MISSING has no value; HOSTILE and FORMULA are noise with evil names.
PLANTED = ("GOOD", "AGAINST")


def small_analysis() -> FactorAnalysis:
    """Return the analysis of the factors above on a random market of 300 days."""
    bars = random_bars(DAYS, NAMES)
    earned = next_day_returns(bars).sort("instrument", "date")["earned"].to_numpy()
    returns = np.nan_to_num(earned.reshape(NAMES, DAYS).T)
    rng = np.random.default_rng(5)
    good = returns + rng.normal(0.0, 0.1, returns.shape)
    planted = factor_frame(
        {
            "GOOD": good,
            "AGAINST": -good + rng.normal(0.0, 0.05, returns.shape),
            "MISSING": np.full(returns.shape, np.nan),
            HOSTILE: rng.normal(size=returns.shape),
            FORMULA: rng.normal(size=returns.shape),
        }
    )
    noise = random_factors(DAYS, NAMES, 8)
    rules = AnalysisRules(horizons=(1, 2, 3, 4, 5), correlation_days=20)
    return analyse(planted.join(noise, on=["instrument", "date"]), bars, rules=rules)


def large_analysis(factors: int = 158, days: int = 3886) -> FactorAnalysis:
    """Return an analysis as large as that of Alpha158 over sixteen years; its figures are noise."""
    small, rng = small_analysis(), np.random.default_rng(6)
    names = [f"FACTOR{number}" for number in range(factors)]
    model = small.summary.filter(pl.col("factor") == "GOOD")
    summary = pl.concat([model] * factors).with_columns(
        factor=pl.Series(names),
        rank_icir=pl.Series(rng.normal(size=factors)),
        cluster=pl.Series(np.arange(factors) // 3 + 1),
    )
    dates = [date(2010, 1, 4) + timedelta(days=day) for day in range(days)]
    daily = pl.DataFrame({"factor": names}).join(pl.DataFrame({"date": dates}), how="cross")
    noise = rng.normal(0.0, 0.1, (2, daily.height))
    related = rng.uniform(-1.0, 1.0, (factors, factors))
    related = (related + related.T) / 2
    parts = {
        table: pl.DataFrame({"factor": names}).join(
            getattr(small, table).filter(pl.col("factor") == "GOOD").drop("factor"), how="cross"
        )
        for table in ("decay", "quantiles", "yearly")
    }
    return replace(
        small,
        summary=summary,
        daily=daily.select("date", "factor", ic=pl.Series(noise[0]), rank_ic=pl.Series(noise[1])),
        correlation=pl.DataFrame(related, schema=names).insert_column(
            0, pl.Series("factor", names)
        ),
        **parts,
    )


def expression_of(factor: str) -> str:
    """Return what a report says that a factor was computed from; not what it was, for noise."""
    if factor == HOSTILE:
        return "</code><script>alert('taken')</script>"
    return f"Ref($close,{len(factor)})/$close-1"


def write_report(
    settings: Settings,
    analysis: FactorAnalysis,
    *,
    digest: str = "0123456789abcdef0123456789abcdef",
    training_end: date | None = None,
    at: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
) -> Path:
    """Store a report, the newest of its home; return its folder.

    The whole analysis is also what the selection knows where a training period's end is given.
    """
    folder = reports_folder(settings) / digest
    record = FactorReportRecord(
        digest=digest,
        folder=folder,
        created_at=at,
        scope=Scope(training_end=training_end),
        snapshot="feedc0de" * 4,
        rows={"custom": "beef" * 8},
        code_versions={"custom": "native-1-abc"},
        expressions={name: expression_of(name) for name in analysis.summary["factor"]},
        universe="all",
        source=settings.source_name,
        simulated=True,
        analysis=analysis,
        training=analysis if training_end else None,
        rules=SelectionRules(),
    )
    save(analysis, folder / ANALYSIS)
    write_json(folder / RECORD, record.to_document())
    stamp = at.timestamp()
    os.utime(folder, (stamp, stamp))
    return folder
