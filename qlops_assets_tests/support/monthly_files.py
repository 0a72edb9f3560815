"""Sources of one file a month, and what a manifest says of them."""

from collections.abc import Callable
from datetime import date

import polars as pl

from qlops_assets.lake.manifest import Manifest


def month_bars(make_bars: Callable, month: int, **options) -> pl.DataFrame:
    return make_bars(first=date(2020, month, 3), days=15, **options)


def usable(manifest: Manifest) -> list[str]:
    return [file.path for file in manifest.files]


def reason(manifest: Manifest, path: str) -> str:
    return next(q.reason for q in manifest.quarantined if q.path == path)
