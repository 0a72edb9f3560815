"""Which source the console shows: the one last chosen in its home, also when that changes."""

from qlops_assets.core.atomic import read_json
from qlops_assets.core.settings import Settings
from qlops_assets.core.settings_file import Location, location


class FollowedSettings:
    """The settings a console was started with, and the source last chosen since.

    ``qlops demo --bars PATH`` remembers its source in the home. A console that was started before
    goes over to it, unless its source was set by ``qlops.toml``, which stands above that.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        given = settings.source.path
        self._follows = given is None or given == _remembered(settings)

    def now(self) -> Settings:
        """Return the settings as of now."""
        if not self._follows:
            return self._settings
        remembered = _remembered(self._settings)
        if remembered == self._settings.source.path:
            return self._settings
        return self._settings.with_source(remembered)


def _remembered(settings: Settings) -> Location | None:
    try:
        document = read_json(settings.source_file)
    except ValueError:
        return None
    path = document.get("path") if isinstance(document, dict) else None
    return location(path) if path else None
