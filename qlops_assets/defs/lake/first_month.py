"""The first month of the source, read from its last manifest when definitions load."""

import json

from qlops_assets.core.settings import Settings


def known_first_month(settings: Settings) -> str | None:
    """Return the first month that the last scan saw, or None before the first scan.

    Reads one small file and imports nothing heavy: it runs whenever the code location loads.
    """
    path = settings.lake / "raw_bars" / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return min(manifest.get("months", ()), default=None)
