"""The overview, as a page and as JSON."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from qlops_assets.registry.registry import Registry
from qlops_assets.web.console import Console, console_of
from qlops_assets.web.documents import BrowserJSON
from qlops_assets.web.health import Surroundings
from qlops_assets.web.overview.data import data_status
from qlops_assets.web.overview.environments import environment_statuses
from qlops_assets.web.overview.feed import last_events
from qlops_assets.web.overview.model import PORTFOLIO, SIGNAL, latest_model
from qlops_assets.web.overview.pipeline import pipeline_steps
from qlops_assets.web.overview.training import training_overview

router = APIRouter()


@router.get("/")
async def show_overview(request: Request) -> HTMLResponse:
    """Return the overview page."""
    console = console_of(request)
    context = {
        "overview": await _overview(console),
        "signal_rows": SIGNAL,
        "portfolio_rows": PORTFOLIO,
    }
    return console.templates.TemplateResponse(request, "overview.html", context)


@router.get("/api/overview")
async def overview_json(request: Request) -> BrowserJSON:
    """Return what the overview page shows, as JSON."""
    return BrowserJSON(await _overview(console_of(request)))


async def _overview(console: Console) -> dict[str, Any]:
    surroundings = await console.neighbours.look()
    return await asyncio.to_thread(overview_document, console, surroundings)


def overview_document(console: Console, surroundings: Surroundings) -> dict[str, Any]:
    """Return everything the overview shows.

    ``seq`` is where the journal stood before anything else was read: a stream that goes on from
    there misses no change to what is shown.
    """
    settings, journal = console.settings, console.journal
    seq, now = journal.last_seq(), console.clock.now()
    cards = Registry(journal).cards()
    return {
        "as_of": now.isoformat(),
        "seq": seq,
        "home": str(settings.home),
        "dagster_url": surroundings.dagster_url,
        "data": data_status(settings),
        "model": latest_model(settings, cards),
        "models": len(cards),
        "environments": environment_statuses(settings, journal, surroundings),
        "training": training_overview(settings, journal, cards, now),
        "steps": pipeline_steps(journal),
        "events": last_events(journal, seq),
    }
