"""The page of the data and the page of one snapshot, as pages and as JSON."""

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from qlops_assets.core.errors import UnknownSnapshotError
from qlops_assets.core.settings import Settings
from qlops_assets.web.console import console_of
from qlops_assets.web.data.coverage import coverage
from qlops_assets.web.data.view import BARS_SHOWN, FILES_SHOWN, data_document, snapshot_document
from qlops_assets.web.documents import BrowserJSON

router = APIRouter()


@router.get("/data")
def show_data(request: Request) -> HTMLResponse:
    """Return the page of the data."""
    console = console_of(request)
    document = data_document(console.settings)
    context = {
        "data": document,
        "coverage": coverage(document["months"], document["stale"]),
        "files_shown": FILES_SHOWN,
    }
    return console.templates.TemplateResponse(request, "data.html", context)


@router.get("/data/snapshots/{number}")
def show_snapshot(request: Request, number: int) -> HTMLResponse:
    """Return the page of one snapshot: what changed since the one before."""
    console = console_of(request)
    context = {"snapshot": _snapshot(console.settings, number), "bars_shown": BARS_SHOWN}
    return console.templates.TemplateResponse(request, "data_snapshot.html", context)


@router.get("/api/data")
def data_json(request: Request) -> BrowserJSON:
    """Return what the page of the data shows."""
    return BrowserJSON(data_document(console_of(request).settings))


@router.get("/api/data/snapshots/{number}")
def snapshot_json(request: Request, number: int) -> BrowserJSON:
    """Return what the page of a snapshot shows."""
    return BrowserJSON(_snapshot(console_of(request).settings, number))


def _snapshot(settings: Settings, number: int) -> dict[str, Any]:
    try:
        return snapshot_document(settings, number)
    except UnknownSnapshotError as error:
        raise HTTPException(404, str(error)) from error
