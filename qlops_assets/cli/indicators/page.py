"""What one indicator is: its facts, and how they look on a terminal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qlops_assets.cli.indicators.listing import (
    as_wide_as_needed,
    empty_table,
    own_row,
    reach_text,
    tick,
)
from qlops_assets.core.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from qlops_assets.indicators.families.indicator import Indicator
    from qlops_assets.indicators.names import Column
    from qlops_assets.indicators.own import OwnIndicator


def described(settings: Settings, name: str) -> dict[str, Any]:
    """Return what a column, a family or one of the user's own is.

    Raises:
        IndicatorError: there is none of that name, or one of the user's own cannot be used.
        FactorError: a factor of the user's own cannot be used.
    """
    from qlops_assets.core.errors import IndicatorError, nearest
    from qlops_assets.indicators.families.catalog import INDICATORS
    from qlops_assets.indicators.names import column
    from qlops_assets.indicators.own import own_indicators
    from qlops_assets.indicators.sets import built_in_names

    own, built = own_indicators(settings), built_in_names(settings)
    if name in own:
        return described_own(own, name)
    if name in INDICATORS:
        family = INDICATORS[name]
        return _of_family(family, [column(each) for each in family.columns], built)
    try:
        one = column(name)
    except IndicatorError as error:
        hint = nearest(name, list(own))
        if hint and error.found == "is unknown":
            raise IndicatorError(error.where, error.found, hint.removeprefix("; ")) from error
        raise
    return _of_family(one.indicator, [one], built)


def _of_family(family: "Indicator", shown: "list[Column]", built: list[str]) -> dict[str, Any]:
    from qlops_assets.indicators.names import column
    from qlops_assets.indicators.names import described as written

    return {
        "name": shown[0].name if len(shown) == 1 else family.name,
        "kind": "built in",
        "family": family.name,
        "title": family.title,
        "group": str(family.group),
        "formula": family.formula,
        "source": family.source,
        "units": family.units,
        "written": written(family).removeprefix("written ").partition(";")[0],
        "parameters": _parameters(family, shown[0]),
        "columns": [_column(one, built) for one in shown],
        "usual": list(family.variants),
        "built": [name for name in built if column(name).indicator is family],
        "note": family.note,
    }


def _parameters(family: "Indicator", one: "Column") -> list[dict[str, Any]]:
    from qlops_assets.indicators.families.indicator import MOST

    return [
        {
            "name": name,
            "value": one.parameters[name],
            "default": default,
            "least": family.least_of(name),
            "most": MOST,
        }
        for name, default in family.parameters.items()
    ]


def _column(one: "Column", built: list[str]) -> dict[str, Any]:
    from qlops_assets.indicators.reads import bar_columns

    return {
        "name": one.name,
        "what": one.indicator.outputs[one.output],
        "warm_up_bars": one.warm_up,
        "look_back_bars": one.look_back,
        "reads": list(bar_columns(one.name, {})),
        "built": one.name in built,
    }


def described_own(own: "Mapping[str, OwnIndicator]", name: str) -> dict[str, Any]:
    """Return what one of the user's own is."""
    from qlops_assets.indicators.reads import bar_columns

    return {
        **own_row(own, name),
        "reads": list(bar_columns(name, own)),
        "indicators": list(own[name].reads),
    }


def render(out: "Console", found: Mapping[str, Any]) -> None:
    """Show one indicator."""
    if found["kind"] != "built in":
        render_facts(out, {"name": found["name"], **own_facts(found), "where": found["where"]})
        return
    about = {name: found[name] for name in ("formula", "source", "units", "note", "written")}
    parameters = {f"  {one['name']}": _parameter(one) for one in found["parameters"]}
    title = f"{found['title']} ({found['group']})"
    render_facts(out, {found["name"]: title, **about, **parameters})
    _render_columns(out, found["columns"])
    here, usual = ", ".join(found["built"]), ", ".join(found["usual"])
    unbuilt = "none; name some in [indicators] names of qlops.toml"
    facts = {"built here": here or unbuilt, "usual ones": "" if here == usual else usual}
    render_facts(out, facts)


def _parameter(one: Mapping[str, Any]) -> str:
    default = "" if one["value"] == one["default"] else f" (default {one['default']:g})"
    return f"{one['value']:g}{default}, from {one['least']:g} to {one['most']:,}"


def _render_columns(out: "Console", columns: list[dict[str, Any]]) -> None:
    what = ["what it is"] if any(one["what"] for one in columns) else []
    table = empty_table("column", *what, "warm-up", "looks back", "reads", "built")
    for one in columns:
        table.add_row(
            one["name"],
            *([one["what"]] if what else []),
            f"{one['warm_up_bars']:,} bars",
            reach_text(one["look_back_bars"], "bars"),
            ", ".join(one["reads"]),
            tick(one["built"]),
        )
    out.print(table)


def own_facts(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the facts of one of the user's own, by label."""
    through = ", ".join(found["indicators"])
    return {
        found["kind"]: found["definition"],
        "reads": ", ".join(found["reads"]) + (f"; through {through}" if through else ""),
        "looks back": reach_text(found["look_back_days"], "days"),
    }


def render_facts(out: "Console", facts: Mapping[str, str]) -> None:
    """Show facts below one another, those that are empty left out."""
    from rich.table import Table
    from rich.text import Text

    as_wide_as_needed(out)
    grid = Table.grid(padding=(0, 2, 0, 0))
    width = max(11, *(len(label) for label in facts))
    grid.add_column(no_wrap=True, min_width=width)
    grid.add_column(overflow="fold")
    for label, text in facts.items():
        if text:
            grid.add_row(Text(label), Text(text))
    out.print(grid)
