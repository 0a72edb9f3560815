"""Qlib's own loader as a factor engine: the reference that every other engine must equal."""

import multiprocessing
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT
from qlops_assets.core.progress import Progress, Unreported
from qlops_assets.core.settings import Settings
from qlops_assets.factors.grammar.look_back import instruments as named_instruments
from qlops_assets.factors.grammar.look_back import look_back
from qlops_assets.factors.grammar.parser import parse
from qlops_assets.factors.grammar.render import render
from qlops_assets.factors.windows import looking_back
from qlops_assets.factors.worker import live_with_parent
from qlops_assets.lake.qlib_bin import build_provider, provider_instruments, write_provider
from qlops_assets.models.qlib_session import qlib_session

_BLOCK = 16  # instruments a task: small enough to show progress, large enough to amortise it
# Series (one expression of one instrument) that take as long as it takes a process to import Qlib.
_WORTH_PROCESSES = 5000


@dataclass(frozen=True, slots=True)
class Request:
    """What to compute: named expressions over a bin provider, for instruments and days."""

    provider: Path
    expressions: Mapping[str, str]
    instruments: Sequence[str]
    first: date | None = None
    last: date | None = None


def compute_blocks(
    request: Request, *, jobs: int = 1, progress: Progress | None = None
) -> Iterator[pl.DataFrame]:
    """Yield factor frames, a block of instruments each, in the order of the instruments.

    Args:
        request: What to compute.
        jobs: Processes to spread the blocks over; 1 computes in this process.
        progress: Told the number of instruments done, as stage ``factors``.
    """
    report = progress or Unreported()
    ordered = sorted(request.instruments)
    blocks = [ordered[i : i + _BLOCK] for i in range(0, len(ordered), _BLOCK)]
    total = len(request.instruments)
    done = 0
    for frame, size in _frames(request, blocks, jobs):
        done += size
        report.report("factors", done, total)
        yield frame


def _frames(
    request: Request, blocks: list[list[str]], jobs: int
) -> Iterator[tuple[pl.DataFrame, int]]:
    work = len(request.expressions) * len(request.instruments)
    if jobs <= 1 or len(blocks) < 4 or work < _WORTH_PROCESSES:
        for block in blocks:
            yield _compute(request, block), len(block)
        return
    # Workers are spawned: a fork of a process that runs Polars' threads can dead-lock. Results
    # come back through files beside the provider, where what a kill -9 leaves is cleared away.
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(
            dir=request.provider.parent, prefix=".factors-", suffix=".tmp"
        ) as folder,
        ProcessPoolExecutor(jobs, mp_context=context, initializer=live_with_parent) as pool,
    ):
        futures = {
            pool.submit(_compute_to_file, request, block, Path(folder) / f"{i}.arrow"): i
            for i, block in enumerate(blocks)
        }
        ready: dict[int, pl.DataFrame] = {}
        following = 0
        try:
            for future in as_completed(futures):
                path = future.result()
                ready[futures[future]] = pl.read_ipc(path)
                path.unlink()
                while following in ready:
                    yield ready.pop(following), len(blocks[following])
                    following += 1
        finally:  # of an error or Ctrl-C: what was not begun is not worth waiting for
            pool.shutdown(cancel_futures=True)


def _compute_to_file(request: Request, block: list[str], path: Path) -> Path:
    _compute(request, block).write_ipc(path)
    return path


def _compute(request: Request, block: list[str]) -> pl.DataFrame:
    # A session per block: the caller iterates over the blocks, and must not do that in ours.
    with qlib_session(request.provider):
        from qlib.data import D

        frame = D.features(
            block,
            list(request.expressions.values()),
            start_time=request.first,
            end_time=request.last,
            freq="day",
        )
    return from_qlib(frame, list(request.expressions))


def from_qlib(frame: Any, names: Sequence[str]) -> pl.DataFrame:
    """Return a Qlib frame (index instrument, datetime) as a factor frame with float32 columns."""
    instruments = frame.index.get_level_values("instrument").to_numpy(dtype=str)
    days = frame.index.get_level_values("datetime").to_numpy(dtype="datetime64[D]")
    values = frame.to_numpy(dtype=np.float32)
    columns = {name: np.ascontiguousarray(values[:, i]) for i, name in enumerate(names)}
    return pl.DataFrame(
        {INSTRUMENT: instruments.tolist(), DATE: days, **columns},
        schema_overrides={INSTRUMENT: pl.String, DATE: pl.Date},
    )


def rendered(expressions: Mapping[str, str]) -> dict[str, str]:
    """Return expressions as our grammar writes them.

    Qlib evaluates its text as Python code. It only ever gets text that was read by our grammar and
    written anew from the tree.
    """
    return {name: render(parse(text, look_ahead=True)) for name, text in expressions.items()}


def _look_back(expressions: Mapping[str, str]) -> int | None:
    """Return how many days Qlib needs before the first; None for all it has.

    All where an expression names an instrument: Qlib fails where that has no bars in a window.
    """
    trees = [parse(text, look_ahead=True) for text in expressions.values()]
    days = [None if named_instruments(tree) else look_back(tree) for tree in trees]
    known = [d for d in days if d is not None]
    return max(known, default=0) if len(known) == len(days) else None


class QlibEngine:
    """Factors by ``qlib.data.D.features`` over a bin provider built from the bars."""

    def evaluate(
        self, expressions: Mapping[str, str], bars: pl.DataFrame, *, since: date | None = None
    ) -> pl.DataFrame:
        """Return the factor frame of a bars frame, by way of a temporary provider."""
        if since is not None:
            bars = looking_back(bars, since, _look_back(expressions))
            return self.evaluate(expressions, bars).filter(pl.col(DATE) >= since)
        with tempfile.TemporaryDirectory(prefix="qlops-provider-") as folder:
            provider = Path(folder) / "provider"
            write_provider(provider, bars)
            instruments = bars.get_column(INSTRUMENT).unique().to_list()
            request = Request(provider, rendered(expressions), instruments)
            return pl.concat(list(compute_blocks(request)))

    def from_lake(
        self,
        settings: Settings,
        expressions: Mapping[str, str],
        *,
        first: date | None = None,
        last: date | None = None,
        progress: Progress | None = None,
    ) -> Iterator[pl.DataFrame]:
        """Yield the factors of the lake's bars, a block of instruments at a time."""
        provider = build_provider(settings, progress=progress or Unreported())
        instruments = provider_instruments(provider)
        # Qlib would begin a window before the first day, also for what remembers all history.
        begin = None if _look_back(expressions) is None else first
        request = Request(provider, rendered(expressions), instruments, begin, last)
        jobs = settings.features.workers
        for frame in compute_blocks(request, jobs=jobs, progress=progress):
            yield frame if first is None else frame.filter(pl.col(DATE) >= first)
