"""``qlops demo``: the main job, end to end, and its summary."""

import click

from qlops_assets.cli.shell import Shell, SourceParameter, command


@click.command()
@click.option(
    "--bars",
    type=SourceParameter(),
    help="Your bars: a folder of Parquet or CSV files, a Qlib provider, or s3://bucket/prefix; "
    "without it the built-in simulated market is used.",
)
@click.option(
    "--train-end", type=click.DateTime(["%Y-%m-%d"]), help="Last day of training, YYYY-MM-DD."
)
@click.option(
    "--valid-end", type=click.DateTime(["%Y-%m-%d"]), help="Last day of validation, YYYY-MM-DD."
)
@click.option("--operator", help="Who approves the production deployment; you where not given.")
@click.option(
    "--idle-minutes",
    type=click.FloatRange(min=0.1),
    default=60.0,
    show_default=True,
    help="The model servers stop by themselves after so long without a request.",
)
@command
def demo(shell: Shell, **options: object) -> None:
    """Run the main job: Parquet bars → Alpha158 → a trained model → a served prediction.

    Every step is a Dagster asset on the home's persistent instance. Run it again: what is done
    is not done twice; interrupted, it continues.
    """
    from qlops_assets.cli.demo.run import run_demo

    run_demo(shell, options)
