"""What a portfolio is compared with: an index of the source, else its equal-weighted universe."""

from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT, KEY
from qlops_assets.core.digests import value_digest
from qlops_assets.core.errors import SourceError, nearest
from qlops_assets.core.settings import Settings
from qlops_assets.lake.beside import KeptFile, files_beside
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.instruments import canonical
from qlops_assets.lake.intake.rows import Reading, read_rows
from qlops_assets.lake.sources.layout import BENCHMARK_FILE
from qlops_assets.lake.universe import load_universe, members

EQUAL_WEIGHTED: Final = "equal-weighted universe"
_PREFERRED: Final = "SH000300"
_ACCEPTED: Final = "a benchmark has instrument, date and close, one positive close per day"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Daily returns to compare with.

    Attributes:
        name: The index's code, or what it was made of.
        returns: ``date, return``, sorted.
        levels: ``date, close`` of an index, sorted; None where there is no index.
        is_simulated: Whether it belongs to the built-in market.
    """

    name: str
    returns: pl.DataFrame
    levels: pl.DataFrame | None = None
    is_simulated: bool = False

    @property
    def digest(self) -> str:
        """Digest of the name and the returns."""
        return value_digest([self.name, self.returns.rows()])


def load_benchmark(settings: Settings) -> Benchmark:
    """Return the benchmark of the source.

    1. With ``benchmark.parquet``: the instrument of ``[source] benchmark``, else SH000300, else
       the first in order of codes.
    2. Without, with ``[source] benchmark``: that instrument's bars, as in a provider of Qlib's.
    3. Else: the mean return of the universe's members that were traded on both days.

    Raises:
        SourceError: ``benchmark.parquet`` cannot be read; it, or the bars, have no such instrument.
        DatasetMissingError: there are no bars yet.
    """
    file = files_beside(settings).get(BENCHMARK_FILE)
    if file is not None:
        levels, where = _levels(file, Reading.of(settings)), file.name
    elif settings.source.benchmark is not None:
        levels, where = bars_dataset(settings).read(columns=["close"]).drop_nulls(), "bars"
    else:
        return _equal_weighted(settings)
    name = _chosen(settings, levels[INSTRUMENT].unique(maintain_order=True).to_list(), where)
    own = levels.filter(pl.col(INSTRUMENT) == name).select(DATE, "close").sort(DATE)
    returns = own.select(DATE, (pl.col("close") / pl.col("close").shift(1) - 1).alias("return"))
    return Benchmark(name, returns.drop_nulls(), own, settings.source.is_simulated)


def _levels(file: KeptFile, reading: Reading) -> pl.DataFrame:
    # An index file often keeps the plain names where the bars' columns are mapped.
    try:
        present = pl.read_parquet_schema(file.path).keys()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError(
            file.name, f"is not a readable Parquet file ({error})", _ACCEPTED
        ) from error
    columns = {ours: theirs for ours, theirs in reading.columns.items() if theirs in present}
    rows = read_rows(
        file.path,
        name=file.name,
        constants={},
        reading=replace(reading, columns=columns),
        required=(INSTRUMENT, DATE, "close"),
        optional=(),
    ).frame
    positive = rows.filter(pl.col("close") > 0)
    repeated = positive.filter(pl.struct(KEY).is_duplicated())
    if positive.is_empty() or repeated.height:
        found = "has no positive close"
        if repeated.height:
            found = f"has {repeated[INSTRUMENT][0]} {repeated[DATE][0]} more than once"
        raise SourceError(file.name, found, _ACCEPTED)
    return positive


def _chosen(settings: Settings, known: list[str], where: str) -> str:
    wanted = settings.source.benchmark
    if wanted is None:
        return _PREFERRED if _PREFERRED in known else known[0]
    if canonical(wanted) not in known:
        raise SourceError(
            where,
            f"has no instrument {wanted!r}{nearest(wanted, known)}",
            f"[source] benchmark can be {', '.join(known)}",
        )
    return canonical(wanted)


def _equal_weighted(settings: Settings) -> Benchmark:
    bars = bars_dataset(settings).read(columns=["close"])
    moves = bars.with_columns(
        (pl.col("close") / pl.col("close").shift(1).over(INSTRUMENT) - 1).alias("return")
    )
    of_members = members(load_universe(settings), moves.drop_nulls("return"))
    returns = of_members.group_by(DATE).agg(pl.col("return").mean()).sort(DATE)
    return Benchmark(EQUAL_WEIGHTED, returns, is_simulated=settings.source.is_simulated)
