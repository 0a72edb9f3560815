"""A model server as a process, as ``qlops serve`` runs it, over in-memory feature rows."""

import argparse
import secrets
from pathlib import Path

from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.deployment.model_source import RegisteredModels
from qlops_assets.deployment.servers import publish_record, withdraw_record
from qlops_assets.serving.app import build_app
from qlops_assets.serving.run import serve
from qlops_assets_tests.support.served_models import InMemoryFeatures


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--environment", default="staging")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--row-seconds", type=float, default=0.0)
    given = parser.parse_args()
    settings = Settings(home=given.home)
    features = InMemoryFeatures(row_seconds=given.row_seconds)
    token = secrets.token_urlsafe(32)
    app = build_app(
        environment=given.environment,
        models=RegisteredModels(settings, Journal(settings.journal_url)),
        features=features,
        admin_token=token,
    )

    def publish(port: int) -> None:
        publish_record(settings, given.environment, port=port, token=token)

    serve(app, port=given.port, on_listening=publish)
    withdraw_record(settings, given.environment)


if __name__ == "__main__":
    main()
