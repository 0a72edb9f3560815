"""What every asset and sensor is handed: settings, journal, and the rooms over them."""

from dataclasses import dataclass
from functools import cached_property

from qlops_assets.core.journal import Journal
from qlops_assets.core.progress import JournalProgress
from qlops_assets.core.settings import Settings
from qlops_assets.registry.registry import Registry

PIPELINE_TOPIC = "pipeline"


@dataclass(frozen=True)
class Platform:
    """The composition of one home."""

    settings: Settings

    @cached_property
    def journal(self) -> Journal:
        """The journal of this home."""
        return Journal(self.settings.journal_url)

    @cached_property
    def registry(self) -> Registry:
        """The registry over the journal."""
        return Registry(self.journal)

    def progress(self, topic: str = PIPELINE_TOPIC) -> JournalProgress:
        """Return progress that is written to a topic of the journal."""
        return JournalProgress(self.journal, topic)
