"""The page of factors, the page of one factor, and what both show as JSON and CSV."""

import re
from difflib import get_close_matches
from typing import Any, Final

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import HTMLResponse

from qlops_assets.core.errors import FactorError
from qlops_assets.core.settings import Settings
from qlops_assets.web.console import Console, console_of
from qlops_assets.web.documents import BrowserJSON
from qlops_assets.web.factors import detail, downloads, figures, order
from qlops_assets.web.factors.reports import Shelf, newest_report, shelf_of
from qlops_assets.web.factors.sparkline import sparkline
from qlops_assets.web.factors.table import FILTERS, TableQuery
from qlops_assets.web.factors.view import ReportView

router = APIRouter()

COMMAND: Final = "qlops factor report"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_NAME: Final = 64  # of a factor; what is longer is none, and nothing is like it


@router.get("/factors")
def show_factors(request: Request) -> HTMLResponse:
    """Return the page of all factors."""
    console = console_of(request)
    settings, query = console.settings, TableQuery.of(request.query_params)
    view, problem = _found(settings)
    context: dict[str, Any] = {
        "view": view,
        "problem": problem,
        "command": COMMAND if _has_rows(settings) else "qlops demo",
        "query": query,
    }
    if view is not None:
        rows = query.ordered(view.rows)
        shown = {row["factor"] for row in rows if query.admits(row)}
        context |= {
            "age": _shelf(settings).known_age(view),
            "rows": rows,
            "shown": shown,
            "fragments": _fragments(console, view),
            "columns": figures.COLUMNS,
            "rank": figures.RANK,
            "cluster": figures.CLUSTER,
            "filters": [f for f in FILTERS if f.key != "proposed" or view.decisions],
        }
    return _page(console, request, "factors.html", context)


@router.get("/factors/{name}")
def show_factor(request: Request, name: str) -> HTMLResponse:
    """Return the page of one factor."""
    console = console_of(request)
    view = _require(console.settings, name)
    row, names = view.by_name[name], [row["factor"] for row in view.rows]
    context = {
        "view": view,
        "row": row,
        "parts": view.documents[name],
        "interval": detail.interval(row),
        "decision": view.decisions.get(name),
        "neighbours": [
            {**view.by_name[n["factor"]], "correlation": n["correlation"]}
            for n in view.neighbours(name)
        ],
        "groups": figures.GROUPS,
        "figures": figures.FIGURES,
        "before": names[row["rank"] - 2] if row["rank"] > 1 else None,
        "after": names[row["rank"]] if row["rank"] < len(names) else None,
        "rolling_days": detail.ROLLING_DAYS,
    }
    return _page(console, request, "factors_detail.html", context)


@router.get("/api/factors")
def factors_json(request: Request) -> BrowserJSON:
    """Return ``FactorAnalysis.to_document`` of all factors, with the report's record."""
    view = _require(console_of(request).settings)
    return BrowserJSON({**view.document, "report": view.record.to_document()})


@router.get("/api/factors.csv")
def factors_csv(request: Request) -> Response:
    """Return the figures of all factors as CSV."""
    return _csv(downloads.summary_csv(_require(console_of(request).settings)), "factors")


@router.get("/api/factors/{name}")
def factor_json(request: Request, name: str) -> BrowserJSON:
    """Return everything about one factor."""
    return BrowserJSON(detail.factor_document(_require(console_of(request).settings, name), name))


@router.get("/api/factors/{name}/figures.csv")
def factor_csv(request: Request, name: str) -> Response:
    """Return the figures of one factor as CSV."""
    view = _require(console_of(request).settings, name)
    return _csv(downloads.figures_csv(view, name), name)


@router.get("/api/factors/{name}/daily.csv")
def factor_daily_csv(request: Request, name: str) -> Response:
    """Return IC and Rank IC of one factor, every day, as CSV."""
    view = _require(console_of(request).settings, name)
    return _csv(downloads.daily_csv(view, name), f"{name}-daily")


@router.get("/api/factor-correlations")
def correlations_json(request: Request) -> BrowserJSON:
    """Return how alike the factors are, in the order of the map."""
    view = _require(console_of(request).settings)
    return BrowserJSON(order.correlation_map(view))


@router.get("/api/factor-report")
def report_json(request: Request) -> BrowserJSON:
    """Return which report is the newest, and whether it is of the lake as it is now."""
    settings = console_of(request).settings
    view = _require(settings)
    why = _shelf(settings).age(settings, view)
    return BrowserJSON({**view.record.to_document(), "is_current": not why, "why": why})


def _found(settings: Settings) -> tuple[ReportView | None, str]:
    """Return the newest report, or what keeps it from being read."""
    try:
        return newest_report(settings), ""
    except FactorError as error:
        return None, str(error)


def _require(settings: Settings, name: str | None = None) -> ReportView:
    view = newest_report(settings)
    if view is None:
        raise HTTPException(404, f"there is no factor report yet; run `{COMMAND}`")
    if name is not None and name not in view.by_name:
        raise HTTPException(404, _unknown(name, list(view.by_name)))
    return view


def _unknown(name: str, known: list[str]) -> str:
    """Return what to say of a name that is no factor's; names differ more than by their case."""
    if len(name) > _LONGEST_NAME:
        return f"no factor has a name of {len(name)} characters; GET /api/factors lists them"
    by_fold = {factor.casefold(): factor for factor in known}
    close = get_close_matches(name.casefold(), by_fold, n=1)
    hint = f"did you mean {by_fold[close[0]]!r}?" if close else "GET /api/factors lists them"
    return f"unknown factor {name!r}; {hint}"


def _has_rows(settings: Settings) -> bool:
    """Return whether there is anything to make a report from."""
    return any((settings.lake / "alpha158").glob("*.parquet"))


def _shelf(settings: Settings) -> Shelf:
    from qlops_assets.factors.report import reports_folder

    return shelf_of(reports_folder(settings))


def _fragments(console: Console, view: ReportView) -> dict[str, str]:
    """Return the inside of each table row as HTML; it is the same whatever is asked for."""
    if not view.fragments:
        template = console.templates.get_template("factors_row.html")
        horizons = view.record.analysis.rules.horizons
        made = {
            row["factor"]: template.render(
                row=row,
                columns=figures.COLUMNS,
                written=figures.written,
                decay=sparkline(row["decay"], horizons),
                flags=_flag_meanings(),
            )
            for row in view.rows
        }
        view.fragments.update(made)
    return view.fragments


def _flag_meanings() -> dict[str, str]:
    from qlops_assets.factors.analysis.tables import FLAGS

    return dict(FLAGS)


def _page(console: Console, request: Request, name: str, context: dict[str, Any]) -> HTMLResponse:
    shared = {"written": figures.written, "flag_meanings": _flag_meanings()}
    return console.templates.TemplateResponse(request, name, {**shared, **context})


def _csv(text: str, name: str) -> Response:
    safe = _UNSAFE.sub("_", name)
    headers = {"content-disposition": f'attachment; filename="{safe}.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)
