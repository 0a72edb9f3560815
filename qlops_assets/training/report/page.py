"""The report of a training: one self-contained HTML page."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from qlops_assets.core.atomic import write_text
from qlops_assets.training.fit import library_versions
from qlops_assets.training.report.charts import report_charts
from qlops_assets.training.report.tables import Measured, report_tables
from qlops_assets.training.report.words import in_words

if TYPE_CHECKING:
    from qlops_assets.training.evaluation import Evaluation

# Names of the training set's document that say which data it was.
_VERSIONS: Final = (
    ("Source", "source"),
    ("States of the source", "source_snapshots"),
    ("Manifest of its files", "source_manifest"),
    ("Bars", "snapshot"),
    ("Feature rows", "factors"),
    ("Feature table version", "feature_table_version"),
    ("Feature definitions", "feature_definitions"),
    ("Universe", "universe"),
    ("Universe, digest", "universe_digest"),
    ("Benchmark", "benchmark"),
    ("Benchmark, digest", "benchmark_digest"),
    ("Last day", "last_day"),
    ("Specification, digest", "digest"),
)


def write_report(
    evaluation: "Evaluation", training_set: Mapping[str, Any], measured: Measured
) -> None:
    """Write the page: verdict, metrics, signal, portfolio, years, model, data and specification.

    Args:
        evaluation: What was measured, and where the page goes.
        training_set: The training set's document.
        measured: The same by day, with predictions, bars and the fit.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("qlops_assets.training"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = _figure
    environment.filters["heading"] = in_words
    tables = report_tables(measured)
    page = environment.get_template("report.html").render(
        evaluation=evaluation,
        metrics=evaluation.metrics(),
        evidence=evaluation.evidence,
        verdict=evaluation.verdict,
        spec=training_set,
        versions=[(label, training_set[name]) for label, name in _VERSIONS],
        whole_spec=json.dumps(training_set, indent=2, ensure_ascii=False, default=str),
        libraries=library_versions(),
        charts=report_charts(tables, best_iteration=measured.fitted["best_iteration"]),
        years=tables.years,
        quantiles=tables.quantiles.means,
    )
    write_text(evaluation.report, page)


def _figure(value: Any) -> str:
    """Return a cell of a table: numbers with four decimals, nothing as a dash."""
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
