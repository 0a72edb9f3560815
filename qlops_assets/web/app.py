"""The console as an ASGI application."""

import contextlib
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException

from qlops_assets.core.clock import SystemClock
from qlops_assets.core.errors import QlopsError, UnknownModelError
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.studies import words as study_words
from qlops_assets.core.studies.history import StudyHistory
from qlops_assets.core.trainings import words as training_words
from qlops_assets.core.trainings.history import TrainingHistory
from qlops_assets.web.book import Book
from qlops_assets.web.console import Console, console_of
from qlops_assets.web.documents import BrowserJSON
from qlops_assets.web.events import EventHub, StreamLimits
from qlops_assets.web.guard import Guard
from qlops_assets.web.health import Neighbours
from qlops_assets.web.pages import INTERFACES, PAGES
from qlops_assets.web.source import FollowedSettings
from qlops_assets.web.wording import FILTERS

_HERE: Final = Path(__file__).parent


def build_console(
    settings: Settings, *, journal: Journal | None = None, limits: StreamLimits | None = None
) -> FastAPI:
    """Return the console of a home.

    Args:
        settings: Which home.
        journal: An open journal of the home; opened and closed with the application where None.
        limits: Of the event stream.
    """
    opened = journal or Journal(settings.journal_url)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        if journal is None:
            opened.close()

    # The interactive API pages would load scripts from elsewhere.
    app = FastAPI(
        title="qlops console", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan
    )
    clock, followed = SystemClock(), FollowedSettings(settings)
    app.state.console = Console(
        followed=followed,
        journal=opened,
        clock=clock,
        hub=EventHub(opened, limits or StreamLimits()),
        neighbours=Neighbours(followed, clock),
        trainings=Book(opened, training_words.PREFIX, TrainingHistory),
        studies=Book(opened, study_words.PREFIX, StudyHistory, passing=study_words.TRIAL_PROGRESS),
        templates=_templates(),
    )
    for router in (*(page.router for page in PAGES), *INTERFACES):
        module, _, attribute = router.partition(":")
        app.include_router(getattr(import_module(module), attribute))
    app.add_api_route("/healthz", report_health, response_model=None)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    for kind in (QlopsError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, show_error)
    app.add_middleware(Guard)
    return app


def _templates() -> Jinja2Templates:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(pages=PAGES)
    return Jinja2Templates(env=environment, context_processors=[_page_context])


def _page_context(request: Request) -> dict[str, Any]:
    settings = console_of(request).settings
    return {"simulated": settings.source.is_simulated and settings.lake.is_dir()}


def report_health(request: Request) -> Response:
    """Say that the console runs and reads its journal."""
    return BrowserJSON({"status": "ok", "seq": console_of(request).journal.last_seq()})


async def show_error(request: Request, error: Exception) -> Response:
    """Answer a request that failed: JSON where a program asked, a page where a person did."""
    status, text = _answer(error)
    headers: dict[str, Any] = dict(getattr(error, "headers", None) or {})
    if request.url.path.startswith(("/api/", "/healthz")):
        return BrowserJSON({"error": text}, status_code=status, headers=headers)
    templates = console_of(request).templates
    context = {"status": status, "text": text}
    return templates.TemplateResponse(
        request, "error.html", context, status_code=status, headers=headers
    )


def _answer(error: Exception) -> tuple[int, str]:
    if isinstance(error, HTTPException):
        return error.status_code, str(error.detail)
    if isinstance(error, RequestValidationError):
        return 400, "; ".join(str(found["msg"]) for found in error.errors())
    if isinstance(error, UnknownModelError):
        return 404, str(error)
    if isinstance(error, QlopsError):
        return 500, str(error)
    return 500, "the console failed; its log says why"
