"""A folder of an S3 bucket.

Objects are listed in one go and read once, when they are new. Credentials and region are found as
every program of Amazon's finds them: environment, ``~/.aws``, the machine's role.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final

from qlops_assets.core.atomic import sync
from qlops_assets.core.errors import FileBusyError, SourceError
from qlops_assets.core.settings_file import Url
from qlops_assets.lake.sources.place import Stamp, Top

_ACCEPTED: Final = (
    "s3://bucket/prefix needs a bucket that exists and credentials that may list and read it "
    "([source] endpoint_url for a store other than Amazon's)"
)
_TIMES_S: Final = {"connect_timeout": 10, "read_timeout": 60}


class Bucket:
    """What is below a prefix of a bucket, as it was when it was first asked for."""

    def __init__(self, url: Url, endpoint_url: str | None = None) -> None:
        self._url, self._endpoint_url = url, endpoint_url

    @property
    def where(self) -> str:
        """Its URL."""
        return str(self._url)

    def top(self) -> Top:
        """Return what lies at its top."""
        names = self._objects
        return Top(
            frozenset(name for name in names if "/" not in name),
            frozenset(name.partition("/")[0] for name in names if "/" in name),
        )

    def names(self, below: str = "") -> list[str]:
        """Return the names below a prefix, without the writers' own."""
        found = (name[len(below) :] for name in self._objects if name.startswith(below))
        return sorted(name for name in found if not any(p[0] in "._" for p in name.split("/")))

    def is_folder(self, name: str) -> bool:
        """Whether there are objects below that name."""
        return name in self._folders

    def stamp(self, name: str) -> Stamp:
        """Return the stamp of an object, as listed."""
        if name not in self._objects:
            raise FileNotFoundError(f"{self._url}/{name}")
        return _stamp(self._objects[name])

    def copy(self, name: str, target: Path) -> None:
        """Download an object; one that is no longer as it was listed is an error."""
        with self._told_as_oserror():
            self._files.get_file(self._path(name), str(target))
        self._require_as_listed(name)
        sync(target)

    def read(self, name: str) -> bytes:
        """Return an object's bytes; one that is no longer as it was listed is an error."""
        with self._told_as_oserror():
            content: bytes = self._files.cat_file(self._path(name))
        self._require_as_listed(name)
        return content

    def _path(self, name: str) -> str:
        return f"{self._url.place}/{name}"

    def _require_as_listed(self, name: str) -> None:
        with self._told_as_oserror():
            now = self._files.info(self._path(name), refresh=True)
        if now["ETag"] != self._objects[name]["ETag"]:
            raise FileBusyError(self._path(name), "it was replaced while it was read", "it waits")

    @cached_property
    def _files(self) -> Any:
        from s3fs import S3FileSystem

        # An instance of its own, with no listing of an earlier look.
        return S3FileSystem(
            endpoint_url=self._endpoint_url,
            config_kwargs=_TIMES_S,
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    @cached_property
    def _objects(self) -> dict[str, dict[str, Any]]:
        try:
            with self._told_as_oserror():
                found = self._files.find(self._url.place, detail=True)
        except OSError as error:
            raise SourceError(self._url, f"cannot be listed ({error})", _ACCEPTED) from error
        if not found:
            raise SourceError(self._url, "has no object", _ACCEPTED)
        start = len(self._url.place) + 1
        files = {path[start:]: info for path, info in found.items() if info["type"] == "file"}
        # An object named like the prefix itself, or ending in /, marks a folder in some tools.
        return {name: info for name, info in files.items() if all(name.split("/"))}

    @cached_property
    def _folders(self) -> set[str]:
        return {str(above) for name in self._objects for above in PurePosixPath(name).parents}

    @contextmanager
    def _told_as_oserror(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise OSError(str(error)) from error


def _stamp(info: dict[str, Any]) -> Stamp:
    return Stamp(info["size"], info["LastModified"].astimezone(UTC), info["ETag"].strip('"'))
