"""Charts of a factor analysis, small enough for Dagster's metadata."""

from typing import TYPE_CHECKING

import polars as pl

from qlops_assets.factors.analysis.analysis import FactorAnalysis
from qlops_assets.training.pictures import BENCHMARK, EXCESS, LOSS, STRATEGY, make_plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BARS, _LINES = 20, 5
_COLOURS = (STRATEGY, LOSS, EXCESS, "#CC79A7", BENCHMARK)


def strongest(analysis: FactorAnalysis) -> pl.DataFrame:
    """Return the summary by |Rank ICIR|, the strongest first; those without one at the end."""
    strength = pl.col("rank_icir").abs()
    return analysis.summary.sort(strength, descending=True, nulls_last=True, maintain_order=True)


def effect_figure(analysis: FactorAnalysis, *, title: str, size: tuple[float, float]) -> "Figure":
    """Return the Rank ICIR of the strongest factors, and how the strongest five decay.

    Args:
        analysis: Of the set.
        title: Says what is shown, and that it is simulated where it is.
        size: Width and height in inches.
    """
    from matplotlib.figure import Figure

    known = strongest(analysis).filter(pl.col("rank_icir").is_not_null())
    figure = Figure(figsize=size, layout="constrained")
    effect, decay = figure.subplots(1, 2)
    top = known.head(_BARS).reverse()
    values = top["rank_icir"].to_list()
    effect.barh(top["factor"].to_list(), values, color=[EXCESS if v >= 0 else LOSS for v in values])
    effect.tick_params(axis="y", labelsize="x-small")
    effect.set_xlabel("Rank ICIR")
    effect.set_title(title, loc="left", fontsize="medium")
    for name, colour in zip(known["factor"].head(_LINES), _COLOURS, strict=False):
        own = analysis.decay.filter(pl.col("factor") == name)
        horizons, means = own["horizon"].to_numpy(), own["rank_ic"].to_numpy()
        decay.plot(horizons, means, color=colour, linewidth=1.4, label=name)
    decay.axhline(0.0, color=BENCHMARK, linewidth=0.6)
    decay.set_xlabel("horizon, days")
    decay.set_title("Rank IC by horizon", loc="left", fontsize="medium")
    if known.height:
        decay.legend(frameon=False, fontsize="x-small")
    make_plain(effect, decay)
    return figure
