"""An analysis as a folder: a Parquet file per table, and ``analysis.json`` for everyone else."""

import json
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl
from polars.exceptions import PolarsError

from qlops_assets.core.atomic import new_folder, read_json, remove_folder, write_json
from qlops_assets.core.errors import FactorError
from qlops_assets.factors.analysis.analysis import FactorAnalysis
from qlops_assets.factors.analysis.rules import AnalysisRules

DOCUMENT: Final = "analysis.json"
TABLES: Final = ("summary", "daily", "decay", "quantiles", "yearly", "correlation")


def save(analysis: FactorAnalysis, folder: Path) -> None:
    """Write an analysis as a folder, in place of an earlier one of that name.

    Readers see a whole analysis or none.
    """
    with new_folder(folder) as temporary:
        for table in TABLES:
            frame: pl.DataFrame = getattr(analysis, table)
            frame.write_parquet(temporary / f"{table}.parquet", compression="zstd")
        write_json(temporary / DOCUMENT, analysis.to_document())
        remove_folder(folder)


def load(folder: Path) -> FactorAnalysis:
    """Return the analysis of a folder.

    Raises:
        FactorError: there is none, or a file of it is damaged.
    """
    try:
        document = read_json(folder / DOCUMENT)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise _damaged(folder / DOCUMENT, error) from error
    if document is None:
        raise FactorError(f"{folder}: has no factor analysis; analyse the factors first")
    try:
        rules = {rule.name: document["rules"][rule.name] for rule in fields(AnalysisRules)}
        first, last = (date.fromisoformat(document[name]) for name in ("first", "last"))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(folder / DOCUMENT, error) from error
    tables = {table: _read(folder / f"{table}.parquet") for table in TABLES}
    rules["horizons"] = tuple(rules["horizons"])
    return FactorAnalysis(**tables, rules=AnalysisRules(**rules), first=first, last=last)


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (OSError, PolarsError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> FactorError:
    return FactorError(f"{path}: cannot be read ({error}); analyse the factors again")
