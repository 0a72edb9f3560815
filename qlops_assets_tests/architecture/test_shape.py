"""What keeps the house livable: small files, short functions, honest names, rooms that say why."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "qlops_assets"
TESTS = ROOT / "qlops_assets_tests"
MODULES = sorted(PACKAGE.rglob("*.py"))
ALL_MODULES = [*MODULES, *sorted(TESTS.rglob("*.py"))]

LONGEST_MODULE = 400
MOST_FILES = 15
LONGEST_FUNCTION = 40
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "handler", "misc"}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_of_code(function: ast.AST) -> int:
    """Return the lines of a function, without docstrings of it and of what it contains."""
    docstrings = 0
    for node in ast.walk(function):
        body = getattr(node, "body", None)
        documented = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if documented and isinstance(body, list) and ast.get_docstring(node):
            docstrings += body[0].end_lineno - body[0].lineno + 1
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    return (function.end_lineno or function.lineno) - function.lineno + 1 - docstrings


def test_every_module_reads_in_one_sitting() -> None:
    lengths = {named(p): len(p.read_text(encoding="utf-8").splitlines()) for p in ALL_MODULES}
    assert {name: n for name, n in lengths.items() if n > LONGEST_MODULE} == {}


def test_every_folder_of_the_package_holds_few_modules() -> None:
    counts = {folder: len(list(folder.glob("*.py"))) for folder in {p.parent for p in MODULES}}
    assert {named(f): n for f, n in counts.items() if n > MOST_FILES} == {}


def test_every_function_is_short() -> None:
    long = {
        f"{named(path)}:{function.lineno} {function.name}": lines_of_code(function)
        for path in MODULES
        for function in functions(parsed(path))
        if lines_of_code(function) > LONGEST_FUNCTION
    }
    assert long == {}


def test_no_module_or_folder_has_a_name_that_says_nothing() -> None:
    places = {part for path in ALL_MODULES for part in path.relative_to(ROOT).with_suffix("").parts}
    assert {place for place in places if EMPTY_NAMES & set(place.split("_"))} == set()


def test_no_class_has_a_name_that_says_nothing() -> None:
    endings = tuple(name.capitalize() for name in EMPTY_NAMES)
    found = [
        f"{named(path)} {node.name}"
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef) and node.name.endswith(endings)
    ]
    assert found == []


def test_every_package_has_an_init_of_a_docstring_alone() -> None:
    folders = {path.parent for path in MODULES}
    missing = [named(f) for f in folders if not (f / "__init__.py").is_file()]
    code = [
        named(folder)
        for folder in folders
        if [type(node) for node in parsed(folder / "__init__.py").body] != [ast.Expr]
        or not ast.get_docstring(parsed(folder / "__init__.py"))
    ]
    assert (missing, code) == ([], [])


def test_every_room_says_what_it_may_import() -> None:
    rooms = [p for p in PACKAGE.iterdir() if (p / "__init__.py").is_file()]
    silent = [
        room.name
        for room in rooms
        if "May import" not in (ast.get_docstring(parsed(room / "__init__.py")) or "")
    ]
    assert len(rooms) >= 10
    assert silent == []


def test_no_test_folder_is_a_package_so_that_names_may_repeat() -> None:
    assert [named(p) for p in TESTS.rglob("__init__.py")] == []


def test_only_settings_reads_the_environment() -> None:
    readers = {
        named(path)
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute)
        and node.attr in {"environ", "environb", "getenv", "putenv", "unsetenv"}
    }
    assert readers == {"qlops_assets/core/settings.py"}


def test_no_error_is_swallowed_whole() -> None:
    """A bare ``except`` hides programming mistakes; three places may see all and say why."""
    allowed = {
        "qlops_assets/defs/steps.py",
        "qlops_assets/indicators/own_values.py",  # a user's code may raise anything
        "qlops_assets/serving/exchange.py",
    }
    broad = {
        named(path)
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None
            or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})
        )
    }
    assert broad <= allowed
