"""The summary of the main job, for people."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def render_summary(console: "Console", document: Mapping[str, Any]) -> None:
    """Print the summary: data, model, metrics, where it serves, one prediction, what it cost."""
    from rich.rule import Rule

    ingested, training = document["ingested"], document["training"]
    console.print(Rule(f"[bold]{document['model_version']}", align="left"))
    if document["simulated"]:
        console.print("[yellow]Simulated market: these figures say nothing about a real one.")
    facts = _plain_table()
    facts.add_row(
        "ingested",
        f"{ingested['files']} files, {ingested['rows']:,} rows → {ingested['bars']:,} bars, "
        f"{ingested['months']} months {ingested['first_month']} to {ingested['last_month']}",
    )
    for file in ingested["quarantined"]:
        facts.add_row("[red]quarantined", f"{file['path']}: {file['reason']}")
    factors = document["factors"]
    facts.add_row("factors", f"{factors['count']} factors of {factors['rows']:,} rows")
    for name, days in training["segments"].items():
        facts.add_row(name, f"{days[0]} to {days[1]}")
    facts.add_row("universe", training["universe"])
    facts.add_row(
        "iterations", f"{training['iterations']}, best {training['best_iteration']} is used"
    )
    console.print(facts)
    console.print(_metrics(document))
    places = _plain_table()
    for name, place in document["environments"].items():
        places.add_row(name, f"{place['url'] or 'not running'}  {place['model_version'] or '-'}")
    places.add_row("state", document["state"])
    console.print(places)
    console.print(f"[dim]report[/dim]       {document['report']}")  # a whole line, to be copied
    if document["prediction"]:
        console.print(_prediction(document["prediction"]))
    console.print(_steps(document["steps"]))
    if document["skipped"]:
        console.print(f"up to date, not done again: {', '.join(document['skipped'])}")
    console.print(f"[bold]done in {document['wall_s']:.0f} s[/bold]\n")
    console.print("next: qlops up        Dagster, the console and the servers, with their URLs")
    console.print("      qlops predict   ask the production server")
    console.print("      qlops down      stop the servers (they stop by themselves when unused)")


def _plain_table() -> "Table":
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim", min_width=12)
    table.add_column(overflow="fold")
    return table


def _metrics(document: Mapping[str, Any]) -> "Table":
    from rich.table import Table

    m, b = document["metrics"], document["backtest"]
    table = Table(title="test metrics", title_justify="left", title_style="bold")
    for name in ("signal", "backtest"):
        table.add_column(name)
        table.add_column(justify="right")
    rows = (
        ("IC", f"{m['ic']:.4f}", "excess return a year", f"{m['excess_return_with_cost']:.1%}"),
        ("ICIR", f"{m['icir']:.3f}", "… without cost", f"{m['excess_return_without_cost']:.1%}"),
        ("Rank IC", f"{m['rank_ic']:.4f}", "information ratio", f"{m['information_ratio']:.2f}"),
        ("Rank ICIR", f"{m['rank_icir']:.3f}", "max drawdown", f"{m['max_drawdown']:.1%}"),
        ("long-short", f"{m['long_short']:.1%}", "turnover a day", f"{b['turnover']:.1%}"),
    )
    for row in rows:
        table.add_row(*row)
    holdings = f"{b['topk']}/{b['n_drop']}" if b["n_drop"] else f"of {b['topk']}"
    table.caption = f"{b['strategy']} {holdings} against {b['benchmark']}, {b['days']} days"
    return table


def _prediction(prediction: Mapping[str, Any]) -> "Table":
    from rich.table import Table

    table = Table(
        title=f"prediction for {prediction['date']}: top {len(prediction['top'])} "
        f"of {prediction['instruments']}",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("#", justify="right")
    table.add_column("instrument")
    table.add_column("score", justify="right")
    for rank, row in enumerate(prediction["top"], 1):
        table.add_row(str(rank), row["instrument"], f"{row['score']:+.5f}")
    table.caption = f"POST {prediction['url']}"
    return table


def _steps(steps: list[Mapping[str, Any]]) -> "Table":
    from rich.table import Table

    table = Table(title="steps", title_justify="left", title_style="bold")
    table.add_column("step")
    for name in ("wall s", "CPU s", "peak MB"):
        table.add_column(name, justify="right")
    for step in steps:
        table.add_row(
            step["step"], f"{step['wall_s']:.1f}", f"{step['cpu_s']:.1f}", f"{step['peak_mb']:,.0f}"
        )
    return table
