"""Model versions as JSON, and their reports."""

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse

from qlops_assets.registry.registry import Registry, StateChange
from qlops_assets.web.console import console_of
from qlops_assets.web.documents import BrowserJSON
from qlops_assets.web.guard import REPORT_SECURITY_POLICY
from qlops_assets.web.models.equity import equity_document
from qlops_assets.web.models.folders import EQUITY, REPORT, model_file

router = APIRouter()


@router.get("/api/models")
def list_models(request: Request) -> BrowserJSON:
    """Return every model version's card, newest first."""
    cards = Registry(console_of(request).journal).cards()
    return BrowserJSON({"models": [card.to_json() for card in reversed(cards)]})


@router.get("/api/models/{version}")
def show_model(request: Request, version: str) -> BrowserJSON:
    """Return a version's card with the history of its states."""
    registry = Registry(console_of(request).journal)
    card = registry.card(version).to_json()
    history = [_change(change) for change in registry.history(version)]
    return BrowserJSON({**card, "history": history})


@router.get("/api/models/{version}/equity")
def show_equity(request: Request, version: str) -> BrowserJSON:
    """Return the equity curve and drawdown of a version's backtest."""
    path = model_file(console_of(request).settings, version, EQUITY)
    if path is None:
        raise HTTPException(404, f"model {version}: no backtest; its evaluation has not run")
    return BrowserJSON(equity_document(path))


@router.get("/reports/{version}")
def show_report(request: Request, version: str) -> FileResponse:
    """Return the report of a version's evaluation."""
    path = model_file(console_of(request).settings, version, REPORT)
    if path is None:
        raise HTTPException(404, f"model {version}: no report; its evaluation has not run")
    headers = {"content-security-policy": REPORT_SECURITY_POLICY}
    return FileResponse(path, media_type="text/html", headers=headers)


def _change(change: StateChange) -> dict[str, Any]:
    return {
        "seq": change.seq,
        "at": change.at.isoformat(),
        "event": str(change.event),
        "from": None if change.source is None else str(change.source),
        "to": str(change.target),
        "by": change.by,
        "why": change.why,
    }
