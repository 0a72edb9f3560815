"""The pages of studies, the same as JSON, and the request to stop one."""

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from qlops_assets.core.errors import NothingToCancelError, UnknownEntryError
from qlops_assets.core.studies.status import request_cancel
from qlops_assets.registry.registry import Registry
from qlops_assets.web.console import Console, console_of, operator_name
from qlops_assets.web.documents import BrowserJSON
from qlops_assets.web.tuning.layout import fold_lines, importance_bars, space_rows
from qlops_assets.web.tuning.view import Studies

router = APIRouter()


class CancelBody(BaseModel):
    """A request to stop a study."""

    model_config = ConfigDict(extra="forbid")

    why: str = Field(default="", max_length=500)


@router.get("/tuning")
def show_studies(request: Request) -> HTMLResponse:
    """Return the page of all studies."""
    console = console_of(request)
    return console.templates.TemplateResponse(request, "studies.html", _listed(console))


@router.get("/tuning/{study}")
def show_study(request: Request, study: str) -> HTMLResponse:
    """Return the page of a study."""
    console = console_of(request)
    document = _document(console, study)
    context = {
        "study": document,
        "bars": importance_bars(document["importance"]),
        "folds": fold_lines(document["folds"]),
        "space": space_rows(document),
    }
    return console.templates.TemplateResponse(request, "study.html", context)


@router.get("/api/studies")
def studies_json(request: Request) -> BrowserJSON:
    """Return what the page of all studies shows."""
    return BrowserJSON(_listed(console_of(request)))


@router.get("/api/studies/{study}")
def study_json(request: Request, study: str) -> BrowserJSON:
    """Return what the page of a study shows; ``seq`` is where to go on."""
    return BrowserJSON(_document(console_of(request), study))


@router.post("/api/studies/{study}/cancel")
def cancel_study(request: Request, study: str, body: CancelBody) -> BrowserJSON:
    """Write down that somebody wants a study to stop; the study does the rest."""
    console = console_of(request)
    try:
        event = request_cancel(
            console.journal,
            console.settings.studies,
            study,
            by=operator_name(),
            why=body.why.strip(),
            clock=console.clock,
        )
    except NothingToCancelError as error:
        raise HTTPException(409, str(error)) from error
    return BrowserJSON(event.to_json(), status_code=202)


def _listed(console: Console) -> dict[str, Any]:
    with console.studies.opened() as (seq, histories):
        studies = Studies(console.settings, (), histories, console.clock.now())
        return {"seq": seq, "as_of": studies.now.isoformat(), "studies": studies.listed()}


def _document(console: Console, study: str) -> dict[str, Any]:
    cards = Registry(console.journal).cards()
    with console.studies.opened() as (seq, histories):
        studies = Studies(console.settings, cards, histories, console.clock.now())
        try:
            document = studies.document(study)
        except UnknownEntryError as error:
            raise HTTPException(404, str(error)) from error
        return {"seq": seq, "as_of": studies.now.isoformat(), **document}
