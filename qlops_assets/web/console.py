"""What every page needs, hung on the application once."""

import getpass
from dataclasses import dataclass

from fastapi.requests import HTTPConnection
from fastapi.templating import Jinja2Templates

from qlops_assets.core.clock import Clock
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.studies.history import StudyHistory
from qlops_assets.core.trainings.history import TrainingHistory
from qlops_assets.web.book import Book
from qlops_assets.web.events import EventHub
from qlops_assets.web.health import Neighbours
from qlops_assets.web.source import FollowedSettings


@dataclass(frozen=True, slots=True)
class Console:
    """The parts of one console."""

    followed: FollowedSettings
    journal: Journal
    clock: Clock
    hub: EventHub
    neighbours: Neighbours
    trainings: Book[TrainingHistory]
    studies: Book[StudyHistory]
    templates: Jinja2Templates

    @property
    def settings(self) -> Settings:
        """The settings as of now."""
        return self.followed.now()


def console_of(connection: HTTPConnection) -> Console:
    """Return the console that a request or WebSocket came to."""
    console: Console = connection.app.state.console
    return console


def operator_name() -> str:
    """Return whom a request from the console is put down to: nobody signs in to it."""
    try:
        return f"{getpass.getuser()} at the console"
    except (KeyError, OSError):  # a container's user without a name
        return "the console"
