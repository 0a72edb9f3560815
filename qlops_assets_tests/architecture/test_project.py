"""What is declared, locked and documented agrees with what is there."""

import re
import tomllib
from dataclasses import fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from qlops_assets.cli.main import COMMANDS
from qlops_assets.core.settings import Settings

ROOT = Path(__file__).parents[2]
NOT_IN_THE_FILE = {"home", "database_url", "lake_folder", "config_file"}


def declared() -> dict[str, SpecifierSet]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    return {Requirement(line).name.lower(): Requirement(line).specifier for line in wanted}


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def documentation() -> str:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def sections() -> dict[str, Any]:
    """Return the section of qlops.toml -> its dataclass."""
    found = {}
    for name, hint in get_type_hints(Settings).items():
        if name not in NOT_IN_THE_FILE:
            found[name] = hint if is_dataclass(hint) else get_args(hint)[1]
    return found


def test_lock_pins_every_package_and_names_no_registry() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(lines) > 100
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][\w.]*", line)] == []


def test_lock_holds_every_declared_package_within_its_range() -> None:
    versions = locked()
    wrong = {
        name: (versions.get(name), str(allowed))
        for name, allowed in declared().items()
        if name not in versions or versions[name] not in allowed
    }
    assert wrong == {}


@pytest.mark.parametrize(
    ("package", "refused", "accepted"),
    [
        ("mlflow", ["1.27.0", "2.22.0", "4.0.0"], "3.7.0"),
        ("pandas", ["3.0.0"], "2.3.3"),
        ("pyarrow", ["26.0.0"], "25.0.0"),
        ("lightgbm", ["4.6.0"], "4.5.0"),
        ("dagster", ["1.14.0"], "1.13.27"),
    ],
)
def test_declared_ranges_leave_out_what_does_not_work(
    package: str, refused: list[str], accepted: str
) -> None:
    allowed = declared()[package]
    assert [version for version in refused if version in allowed] == []
    assert accepted in allowed


def test_python_ranges_include_311_and_312() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    allowed = SpecifierSet(project["requires-python"])
    assert [v for v in ("3.10.9", "3.11.0", "3.12.9", "3.13.0") if v in allowed] == [
        "3.11.0",
        "3.12.9",
    ]


def test_dagster_yaml_of_the_checkout_is_the_one_that_qlops_writes() -> None:
    packaged = files("qlops_assets.cli").joinpath("dagster.yaml").read_text(encoding="utf-8")
    assert (ROOT / "dagster.yaml").read_text(encoding="utf-8") == packaged


def test_every_data_file_of_the_package_is_shipped() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["qlops_assets"]
    kinds = {pattern.rpartition(".")[2] for pattern in patterns}
    found = {
        path.suffix[1:]
        for path in (ROOT / "qlops_assets").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
        if path.suffix != ".py" and path.name != "py.typed"
    }
    assert found <= kinds


@pytest.mark.parametrize("section", sorted(sections()))
def test_every_key_of_qlops_toml_is_documented(section: str) -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    heading = "[environments.NAME]" if section == "environments" else f"[{section}]"
    assert f"## `{heading}`" in page
    part = page.split(f"## `{heading}`")[1].split("\n## ")[0]
    rows = set(re.findall(r"^\| `([\w.]+)` \|", part, flags=re.MULTILINE))
    kind = sections()[section]
    # A section of names that the user chooses has no keys of ours.
    keys = {field.name for field in fields(kind)} if is_dataclass(kind) else set()
    assert rows == keys


def test_every_documented_default_is_the_real_one() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    wrong = []
    for name, section in sections().items():
        if name == "environments" or not is_dataclass(section):
            continue
        part = page.split(f"## `[{name}]`")[1].split("\n## ")[0]
        shown = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", part, flags=re.MULTILINE))
        default = section()
        for field in fields(section):
            value = getattr(default, field.name)
            if shown[field.name].strip() != written(value):
                wrong.append((name, field.name, shown[field.name], written(value)))
    assert wrong == []


def written(value: Any) -> str:
    """Return a default as the page writes it: TOML in code, a dash where there is none."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict):
        return "`{}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(written(item).strip('`') for item in value)}]`"
    if isinstance(value, str):
        return f'`"{value}"`'
    return f"`{value:g}`"


def test_every_environment_variable_is_documented() -> None:
    source = (ROOT / "qlops_assets" / "core" / "settings.py").read_text(encoding="utf-8")
    variables = set(re.findall(r'"(QLOPS_[A-Z_]+)"', source))
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert variables
    assert {name for name in variables if f"`{name}`" not in page} == set()


def test_every_command_is_documented() -> None:
    text = documentation()
    assert [name for name in COMMANDS if not re.search(rf"`?qlops {name}\b", text)] == []


def test_every_link_of_the_documentation_leads_somewhere() -> None:
    dead = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
        dead += [
            f"{page.name}: {target}"
            for target in targets
            if not target.startswith("http") and not (page.parent / target).exists()
        ]
    assert dead == []
