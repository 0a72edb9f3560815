"""Runs the main job with progress, and puts its summary together."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qlops_assets.cli.demo.alone import alone
from qlops_assets.cli.demo.main_job import MainJob, operator_name, stage_costs
from qlops_assets.cli.demo.watching import progress_shown
from qlops_assets.cli.shell import Shell
from qlops_assets.cli.summary import render_summary
from qlops_assets.core.errors import SettingsError
from qlops_assets.core.settings import Settings

TOP = 10


def run_demo(shell: Shell, options: Mapping[str, Any]) -> None:
    """Run the main job and print its summary.

    Args:
        shell: The command's surroundings.
        options: ``bars, train_end, valid_end, operator, idle_minutes`` as given.

    Raises:
        QlopsError: a stage failed; the home keeps what was done.
    """
    settings = _with_options(shell.settings, options)
    shell = replace(shell, settings=settings)
    log = shell.log()
    started = time.monotonic()
    log.print(f"[bold]qlops demo[/bold]  source {settings.source_folder}  home {settings.home}")
    if settings.source.is_simulated:
        log.print("[yellow]simulated market: generated prices with a planted signal[/yellow]")
    job = MainJob(
        settings,
        say=lambda text: log.print(text, markup=False),
        journal=shell.journal,
        operator=str(options["operator"] or operator_name()),
        idle_minutes=options["idle_minutes"],
    )
    with alone(settings.home), progress_shown(shell):
        version = job.run()
    document = summary(shell, version, job.skipped, wall_s=time.monotonic() - started)
    shell.emit(document, lambda console: render_summary(console, document))


def _with_options(settings: Settings, options: Mapping[str, Any]) -> Settings:
    bars = options["bars"]
    settings = settings.with_source(bars) if bars else _without_remembered(settings)
    dates = {name: options[name].date() for name in ("train_end", "valid_end") if options[name]}
    if len(dates) == 1:
        raise SettingsError("--train-end and --valid-end go together; give both or neither")
    return replace(settings, training=replace(settings.training, **dates))


def _without_remembered(settings: Settings) -> Settings:
    """Return settings with the source of ``qlops.toml``, not the one an earlier demo was given."""
    configured = Settings.read_configured(settings.home, settings.config_file)
    return settings.with_source(configured.source.path)


def summary(shell: Shell, version: str, skipped: list[str], *, wall_s: float) -> dict[str, Any]:
    """Return the document of a finished main job."""
    from qlops_assets.deployment.servers import running
    from qlops_assets.factors.store import alpha158_dataset
    from qlops_assets.registry.registry import Registry

    settings = shell.settings
    factors = alpha158_dataset(settings).infos()
    card = Registry(shell.journal).card(version)
    servers = {record.environment: record for record in running(settings)}
    trained = ("iterations", "best_iteration", "segments", "universe")
    return {
        "model_version": version,
        "state": str(card.state),
        "simulated": settings.source.is_simulated,
        "source": str(settings.source_folder),
        "snapshot": card.facts["snapshot"],
        "ingested": _ingested(settings),
        "factors": {"count": 158, "rows": sum(info.rows for info in factors.values())},
        "training": {name: card.facts[name] for name in trained},
        "metrics": card.facts["metrics"],
        "backtest": card.facts["backtest"],
        "environments": _environments(shell, servers),
        "prediction": _prediction(servers.get("production")),
        "steps": stage_costs(shell.journal),
        "skipped": skipped,
        "report": str(settings.models / version / "report.html"),
        "wall_s": round(wall_s, 1),
    }


def _ingested(settings: Settings) -> dict[str, Any]:
    from qlops_assets.lake.datasets import bars_dataset
    from qlops_assets.lake.scan import load_manifest

    manifest = load_manifest(settings)
    if manifest is None:
        raise SettingsError(f"{settings.lake}: the source was never scanned; run `qlops demo`")
    bars = bars_dataset(settings).infos()
    return {
        "files": len(manifest.files),
        "rows": manifest.rows,
        "bars": sum(info.rows for info in bars.values()),
        "months": len(bars),
        "first_month": min(bars),
        "last_month": max(bars),
        "quarantined": [{"path": f.path, "reason": f.reason} for f in manifest.quarantined],
        "waiting": [{"path": f.path, "reason": f.reason} for f in manifest.waiting],
    }


def _environments(shell: Shell, servers: Mapping[str, Any]) -> dict[str, Any]:
    from qlops_assets.deployment.history import DeploymentHistory

    history = DeploymentHistory(shell.journal)
    return {
        name: {
            "model_version": history.live_version(name),
            "url": servers[name].url if name in servers else None,
        }
        for name in shell.settings.environments
    }


def _prediction(server: Any) -> dict[str, Any] | None:
    from qlops_assets.deployment.servers import score

    if server is None:
        return None
    answer = score(server)
    ranked = sorted(answer["scores"], key=lambda row: row["score"], reverse=True)
    return {
        "url": f"{server.url}/v1/score",
        "date": answer["date"],
        "model_version": answer["model_version"],
        "instruments": len(ranked),
        "top": ranked[:TOP],
    }
