"""``qlops.toml`` to settings: strict; every error names the key, the value and what is taken.

Also what a value can be that TOML does not know: a folder or a URL.
"""

import tomllib
import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from qlops_assets.core.errors import SettingsError, nearest

SCHEMES: Final = ("s3",)
_ACCEPTED_LOCATION: Final = "a folder, or s3://bucket/prefix"


class Url(str):
    """A folder of an object store: ``s3://bucket/prefix``. Without a slash at its end."""

    __slots__ = ()

    @property
    def place(self) -> str:
        """What is behind the scheme: ``bucket/prefix``."""
        return self.partition("://")[2]

    @property
    def name(self) -> str:
        """Its last part."""
        return self.rpartition("/")[2]


Location = Path | Url


def location(text: str | Path) -> Location:
    """Return the folder or the URL that a text names; a path is made absolute.

    Raises:
        ValueError: the URL is of another scheme, or names no bucket.
    """
    written = str(text)
    scheme, is_url, rest = written.partition("://")
    if not is_url:
        return Path(written).expanduser().absolute()
    if scheme == "file":
        return Path(rest).expanduser().absolute()
    parts = [part for part in rest.split("/") if part]
    if scheme not in SCHEMES or rest[:1] in ("", "/") or any(part in (".", "..") for part in parts):
        raise ValueError(f"was {written!r}, must be {_ACCEPTED_LOCATION}")
    return Url(f"{scheme}://{'/'.join(parts)}")


_NOT_SECTIONS: Final = {"home", "database_url", "lake_folder", "config_file"}


def read_sections(file: Path, settings: type) -> dict[str, Any]:
    """Return the sections of a ``qlops.toml`` as keyword arguments of the settings class.

    Raises:
        SettingsError: the file is missing or not TOML, a key is unknown (the nearest known one is
            named), or a value has the wrong type.
    """
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"{file}: no such file; QLOPS_CONFIG must name a qlops.toml") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: not TOML: {error}") from error
    hints = typing.get_type_hints(settings)
    known = {name: hint for name, hint in hints.items() if name not in _NOT_SECTIONS}
    _refuse_unknown(document, list(known), str(file))
    return {
        name: section(value, known[name], f"{file}: [{name}]") for name, value in document.items()
    }


def _refuse_unknown(found: dict[str, Any], known: list[str], where: str) -> None:
    for key in found:
        if key not in known:
            raise SettingsError(
                f"{where}: unknown key {key!r}{nearest(key, known)} Known: {', '.join(known)}"
            )


def section(value: Any, hint: Any, where: str) -> Any:
    """Return one section as its dataclass, or as a dict of them.

    Args:
        value: The table of the file.
        hint: Type of the section.
        where: What messages call it.

    Raises:
        SettingsError: a key is unknown or missing, or a value has the wrong type.
    """
    if typing.get_origin(hint) is dict:
        item = typing.get_args(hint)[1]
        if not isinstance(value, dict):
            raise SettingsError(f"{where}: was {value!r}, must be a table")
        return {key: _value(entry, item, f"{where}.{key}") for key, entry in value.items()}
    if not isinstance(value, dict):
        raise SettingsError(f"{where}: was {value!r}, must be a table")
    hints = typing.get_type_hints(hint)
    _refuse_unknown(value, [f.name for f in fields(hint)], where)
    missing = [
        f.name
        for f in fields(hint)
        if f.default is MISSING and f.default_factory is MISSING and f.name not in value
    ]
    if missing:
        raise SettingsError(f"{where}: {missing[0]!r} is missing and has no default")
    return hint(**{k: _value(v, hints[k], f"{where} {k}") for k, v in value.items()})


def _value(value: Any, hint: Any, where: str) -> Any:
    if isinstance(hint, types.UnionType):
        options = [o for o in typing.get_args(hint) if o is not type(None)]
        return _location(value, where) if Url in options else _value(value, options[0], where)
    origin = typing.get_origin(hint)
    if hint is Any:
        return value
    if origin is tuple:
        item = typing.get_args(hint)[0]
        return tuple(_value(entry, item, where) for entry in _expected(value, list, where))
    if origin is dict:
        item = typing.get_args(hint)[1]
        table = _expected(value, dict, where)
        return {str(k): _value(v, item, f"{where}.{k}") for k, v in table.items()}
    return _scalar(value, hint, where)


def _location(value: Any, where: str) -> Path | Url:
    try:
        return location(_expected(value, str, where))
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from error


def _scalar(value: Any, hint: Any, where: str) -> Any:
    if is_dataclass(hint):
        return section(value, hint, where)
    if hint is Path:
        return Path(_expected(value, str, where)).expanduser().absolute()
    if hint is float:
        return float(_expected(value, (int, float), where))
    if hint is date and isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError as error:
            raise SettingsError(f"{where}: was {value!r}, must be a date YYYY-MM-DD") from error
    if hint is date and isinstance(value, datetime):  # a datetime is a date to isinstance
        raise SettingsError(f"{where}: was {value}, must be a date YYYY-MM-DD")
    return _expected(value, hint, where)


def _expected(value: Any, kind: Any, where: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = " or ".join(k.__name__ for k in kinds)
        raise SettingsError(f"{where}: was {value!r}, must be {names}")
    return value
