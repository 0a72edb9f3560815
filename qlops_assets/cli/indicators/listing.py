"""The list of indicators: what there is, and how it looks on a terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from qlops_assets.core.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from qlops_assets.indicators.families.indicator import Indicator

_WHOLE: Final = "all history"
# Wider than any table: where nobody's window limits it, a row is a line.
_NO_WINDOW: Final = 400
_NARROW: Final = 16


def listed(
    settings: Settings, *, group: str | None, only_built: bool, only_own: bool
) -> dict[str, Any]:
    """Return the columns that there are, by group, and the user's own.

    Args:
        settings: Of the home, which say what is built.
        group: Only of this group; none of the user's own then.
        only_built: Leave out what this home does not build.
        only_own: Only the user's own.

    Raises:
        IndicatorError: one cannot be used.
        FactorError: a factor of the user's own cannot be used.
    """
    from qlops_assets.indicators.families.catalog import INDICATORS
    from qlops_assets.indicators.own import own_indicators
    from qlops_assets.indicators.sets import built_in_names

    built, own = built_in_names(settings), own_indicators(settings)
    rows = [
        row
        for family in ([] if only_own else INDICATORS.values())
        if group is None or family.group == group
        for row in _rows(family, built)
        if row["built"] or not only_built
    ]
    return {
        "indicators": rows,
        "own": [own_row(own, name) for name in own] if group is None else [],
        "built": len(built) + len(own),
        "by_default": settings.indicators.names is None,
    }


def _rows(family: "Indicator", built: Sequence[str]) -> list[dict[str, Any]]:
    from qlops_assets.indicators.names import column

    here = [name for name in built if column(name).indicator is family]
    names = dict.fromkeys((*family.variants, *here))
    return [
        {
            "name": name,
            "family": family.name,
            "group": str(family.group),
            "title": family.title,
            "output": family.outputs[one.output],
            "parameters": one.parameters,
            "units": family.units,
            "warm_up_bars": one.warm_up,
            "look_back_bars": one.look_back,
            "built": name in built,
        }
        for name, one in ((name, column(name)) for name in names)
    ]


def own_row(own: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what is said of one of the user's own."""
    from qlops_assets.indicators.own import own_look_back

    return {
        "name": name,
        "definition": own[name].definition,
        "kind": "function" if own[name].is_function else "expression",
        "look_back_days": own_look_back(own, name),
        "where": own[name].where,
    }


def render(out: "Console", found: Mapping[str, Any]) -> None:
    """Show the list."""
    as_wide_as_needed(out)
    if found["indicators"]:
        out.print(_table(found["indicators"], narrow=out.is_terminal))
    if found["own"]:
        out.print("[bold]your own[/bold]")
        out.print(_own_table(found["own"]))
    if not found["indicators"] and not found["own"]:
        out.print("none; write your own under [indicators.own] of qlops.toml", markup=False)
    chosen = "the usual ones" if found["by_default"] else "by [indicators] names"
    out.print(
        f"This home builds {found['built']} columns ({chosen}).\nOther parameters go into a name: "
        "rsi_9, bbands_20_2p5_upper. More of one: qlops indicator show NAME",
        markup=False,
    )


def _table(rows: Sequence[Mapping[str, Any]], *, narrow: bool) -> "Table":
    """Return the columns by group; what a row shares with the one before is not repeated."""
    table = empty_table("column", "what it is", "parameters", "units", "warm-up", "built")
    for each in table.columns[2:4] if narrow else ():
        each.max_width = _NARROW
    before: Mapping[str, Any] = {}
    for row in rows:
        if row["group"] != before.get("group"):
            if before:
                table.add_row()
            table.add_row(f"[bold]{row['group']}[/bold]")
        first = row["family"] != before.get("family")
        parameters = parameters_text(row["parameters"])
        repeated = not first and row["parameters"] == before["parameters"]
        table.add_row(
            f"  {row['name']}",
            _what(row, first=first),
            "" if repeated else parameters,
            _shortened(row["units"]) if first else "",
            str(row["warm_up_bars"]),
            tick(row["built"]),
        )
        before = row
    return table


def _what(row: Mapping[str, Any], *, first: bool) -> str:
    output: str = row["output"]
    if not first:
        return f"– {output}" if output else ""
    return f"{row['title']}: {output}" if output else row["title"]


def _shortened(units: str) -> str:
    """Return the units of the main output; ``show`` has the others'."""
    main, _, more = units.partition(";")
    return f"{main} …" if more else main


def _own_table(rows: Sequence[Mapping[str, Any]]) -> "Table":
    from rich.text import Text

    table = empty_table("column", "definition", "looks back", "where")
    for row in rows:
        reach = reach_text(row["look_back_days"], "days")
        texts = (f"  {row['name']}", row["definition"], reach, row["where"])
        table.add_row(*(Text(text) for text in texts))
    return table


def empty_table(*names: str) -> "Table":
    """Return a table with these columns."""
    from rich import box
    from rich.table import Column, Table

    right = ("warm-up", "looks back")
    columns = [
        Column(
            name,
            justify="right" if name in right else "center" if name == "built" else "left",
            no_wrap=name in ("column", "warm-up", "built", "looks back"),
        )
        for name in names
    ]
    return Table(*columns, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)


def tick(yes: bool) -> str:
    """Return a mark where something is so."""
    return "[green]✓[/green]" if yes else ""


def as_wide_as_needed(out: "Console") -> None:
    """Let rows be as wide as they have to be where nobody's window limits them."""
    if not out.is_terminal:
        out.width = _NO_WINDOW


def parameters_text(parameters: Mapping[str, float]) -> str:
    """Return parameters as they are read: ``fast 12, slow 26``."""
    return ", ".join(f"{name} {value:g}" for name, value in parameters.items())


def reach_text(reach: int | None, unit: str) -> str:
    """Return how far back a value looks, in words."""
    return _WHOLE if reach is None else f"{reach:,} {unit}"
