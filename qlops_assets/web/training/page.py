"""The pages of trainings, the same as JSON, and the request to stop one."""

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from qlops_assets.core.errors import NothingToCancelError
from qlops_assets.core.trainings.status import request_cancel
from qlops_assets.registry.registry import Registry
from qlops_assets.web.console import Console, console_of, operator_name
from qlops_assets.web.documents import BrowserJSON
from qlops_assets.web.training.view import Trainings

router = APIRouter()


class CancelBody(BaseModel):
    """A request to stop a training."""

    model_config = ConfigDict(extra="forbid")

    attempt: int | None = Field(default=None, ge=1)
    why: str = Field(default="", max_length=500)


@router.get("/training")
def show_trainings(request: Request) -> HTMLResponse:
    """Return the page of all trainings."""
    console = console_of(request)
    return console.templates.TemplateResponse(request, "trainings.html", _listed(console))


@router.get("/training/{version}")
def show_training(request: Request, version: str, attempt: int | None = None) -> HTMLResponse:
    """Return the page of the training of a version."""
    console = console_of(request)
    context = {"training": _document(console, version, attempt)}
    return console.templates.TemplateResponse(request, "training.html", context)


@router.get("/api/trainings")
def trainings_json(request: Request) -> BrowserJSON:
    """Return what the page of all trainings shows."""
    return BrowserJSON(_listed(console_of(request)))


@router.get("/api/trainings/{version}")
def training_json(request: Request, version: str, attempt: int | None = None) -> BrowserJSON:
    """Return what the page of a training shows, with its curves; ``seq`` is where to go on."""
    return BrowserJSON(_document(console_of(request), version, attempt))


@router.post("/api/trainings/{version}/cancel")
def cancel_training(request: Request, version: str, body: CancelBody) -> BrowserJSON:
    """Write down that somebody wants a training to stop; the training does the rest."""
    console = console_of(request)
    try:
        event = request_cancel(
            console.journal,
            console.settings.models,
            version,
            by=operator_name(),
            why=body.why.strip(),
            attempt=body.attempt,
            clock=console.clock,
        )
    except NothingToCancelError as error:
        raise HTTPException(409, str(error)) from error
    return BrowserJSON(event.to_json(), status_code=202)


def _listed(console: Console) -> dict[str, Any]:
    with console.trainings.opened() as (seq, histories):
        trainings = _trainings(console, histories)
        return {"seq": seq, "as_of": trainings.now.isoformat(), "trainings": trainings.listed()}


def _document(console: Console, version: str, attempt: int | None) -> dict[str, Any]:
    with console.trainings.opened() as (seq, histories):
        trainings = _trainings(console, histories)
        try:
            document = trainings.document(version, attempt)
        except LookupError as error:
            raise HTTPException(404, str(error.args[0])) from error
        return {"seq": seq, "as_of": trainings.now.isoformat(), **document}


def _trainings(console: Console, histories: Any) -> Trainings:
    cards = {card.version: card for card in Registry(console.journal).cards()}
    return Trainings(console.settings, cards, histories, console.clock.now())
