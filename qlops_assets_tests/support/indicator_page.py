"""The tables of ``docs/indicators.md``, from the catalog; run as a program it writes them."""

from pathlib import Path

from qlops_assets.indicators.families.catalog import INDICATORS
from qlops_assets.indicators.families.indicator import Group, Indicator
from qlops_assets.indicators.names import column

PAGE = Path(__file__).parents[2] / "docs" / "indicators.md"
BEGIN = "<!-- tables: python -m qlops_assets_tests.support.indicator_page -->\n"
END = "<!-- end of tables -->"
_HEAD = ("family", "formula", "source", "units", "defaults", "warm-up", "usual columns", "notes")


def tables() -> str:
    """Return a table for each group, with a row for each family."""
    parts = []
    for group in Group:
        rows = [_HEAD, ("---",) * len(_HEAD)]
        rows += [_row(family) for family in INDICATORS.values() if family.group is group]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        parts.append("\n".join([f"### {group.capitalize()}", "", *lines, ""]))
    return "\n" + "\n".join(parts) + "\n"


def written() -> str:
    """Return the tables that the page holds."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


def _row(family: Indicator) -> tuple[str, ...]:
    defaults = ", ".join(f"{name} {value:g}" for name, value in family.parameters.items())
    outputs = [f"`{suffix}` {what}" for suffix, what in family.outputs.items() if suffix]
    notes = "; ".join(filter(None, [family.note, *outputs]))
    cells = (
        f"{family.title} `{family.name}`",
        family.formula,
        family.source,
        family.units,
        defaults or "–",
        _warm_up(family),
        ", ".join(f"`{name}`" for name in family.variants),
        notes or "–",
    )
    return tuple(cell.replace("|", "\\|") for cell in cells)


def _warm_up(family: Indicator) -> str:
    """Return the bars before the first value with the defaults, by output where they differ."""
    found = {one.output: one.warm_up for one in map(column, family.columns)}
    if len(set(found.values())) == 1:
        return str(next(iter(found.values())))
    return ", ".join(f"{output} {bars}" for output, bars in found.items())


def main() -> None:
    """Write the tables into the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}{tables()}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
