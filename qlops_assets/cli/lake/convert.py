"""``qlops data convert``: bars and factors in Qlib's forms, and back."""

from typing import TYPE_CHECKING, Any, Final

import click

from qlops_assets.cli.lake.progress import progress_shown
from qlops_assets.cli.shell import Shell, command

if TYPE_CHECKING:
    from qlops_assets.lake.conversions.forms import Content, Form, Summary, Wanted

_TARGETS: Final = ("qlib-bin", "csv", "pickle", "parquet")
_ORIGINS: Final = ("auto", "qlib-bin", "csv", "pickle")
_DAY: Final = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option("--to", type=click.Choice(_TARGETS), required=True, help="The form to write.")
@click.option(
    "--out", type=click.Path(file_okay=False), required=True, help="A new or empty folder."
)
@click.option("--from", "origin", type=click.Path(), help="Read this instead of the home.")
@click.option("--from-format", type=click.Choice(_ORIGINS), default="auto", show_default=True)
@click.option(
    "--dataset", type=click.Choice(["bars", "factors"]), default="bars", show_default=True
)
@click.option("--instruments", help="Codes A,B, or the name of a list of a Qlib folder.")
@click.option("--first", type=_DAY, help="Drop earlier days.")
@click.option("--last", type=_DAY, help="Drop later days.")
@click.option("--one-file", is_flag=True, help="With --to csv: one file with a symbol column.")
@command
def convert(
    shell: Shell,
    *,
    to: str,
    out: str,
    origin: str | None,
    from_format: str,
    dataset: str,
    instruments: str | None,
    first: Any,
    last: Any,
    one_file: bool,
) -> None:
    """Write bars or factors in Qlib's bin, CSV or Pickle form, or read those.

    ``--to qlib-bin --out DIR`` gives the home's bars to Qlib; ``--from cn_data --to parquet --out
    DIR`` brings Qlib's data in, for ``qlops demo --bars DIR``.
    """
    from pathlib import Path

    from qlops_assets.lake.conversions.forms import Form, Wanted, require_free, write_content

    folder = Path(out).absolute()
    require_free(folder)
    codes = instruments.split(",") if instruments else None
    wanted = Wanted(
        is_bars=dataset == "bars",
        instruments=codes,
        first=first.date() if first else None,
        last=last.date() if last else None,
        timezone=shell.settings.source.timezone,
    )
    form = Form(to)
    with progress_shown(shell) as progress:
        if origin is None:
            content = _of_home(shell, wanted, form)
        else:
            content = _of_path(Path(origin), wanted, from_format, progress)
        summary = write_content(content, form, folder, is_one_file=one_file, progress=progress)
    _emit(shell, summary)


def _of_home(shell: Shell, wanted: "Wanted", form: "Form") -> "Content":
    from qlops_assets.factors.store import alpha158_dataset
    from qlops_assets.lake.conversions.forms import Form, bars_content, lake_content

    with_lists = form in {Form.QLIB_BIN, Form.PARQUET}
    if wanted.is_bars:
        return bars_content(shell.settings, wanted, with_lists=with_lists)
    dataset = alpha158_dataset(shell.settings)
    return lake_content(shell.settings, dataset, wanted, with_lists=False)


def _of_path(path: Any, wanted: "Wanted", form: str, progress: Any) -> "Content":
    from qlops_assets.lake.conversions.forms import Form, read_content

    known = None if form == "auto" else Form(form)
    return read_content(path.absolute(), wanted, form=known, progress=progress)


def _emit(shell: Shell, summary: "Summary") -> None:
    from dataclasses import asdict

    def render(out: Any) -> None:
        out.print(
            f"{summary.folder}: {summary.files:,} files, {summary.bytes / 1e6:,.1f} MB; "
            f"{summary.rows:,} rows of {summary.instruments:,} instruments, "
            f"{summary.first} to {summary.last}"
        )

    shell.emit(asdict(summary), render)
