"""Which data registered models were trained on."""

from collections.abc import Iterator
from typing import Any, Final

from qlops_assets.core.atomic import read_json
from qlops_assets.core.settings import Settings
from qlops_assets.registry.registry import Registry

TRAINING_SET: Final = "training_set.json"


def used_snapshots(registry: Registry, source: str) -> dict[int, str]:
    """Return the snapshots of a source that registered models were trained on, and by which.

    Args:
        registry: Of the home.
        source: The source's short name.
    """
    used: dict[int, list[str]] = {}
    for card in registry.cards():
        if card.facts.get("source") == source:
            for number in card.facts.get("source_snapshots", ()):
                used.setdefault(int(number), []).append(card.version)
    return {number: f"{', '.join(models)} used it" for number, models in sorted(used.items())}


def trainings(settings: Settings, registry: Registry) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the registered models of this source with the description of their training sets.

    It lists every feature and every file version; it is empty where the model's folder is gone.
    """
    for card in registry.cards():
        if card.facts.get("source") == settings.source_name:
            yield card.version, read_json(settings.models / card.version / TRAINING_SET) or {}
