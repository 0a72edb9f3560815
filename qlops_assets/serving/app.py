"""The model server as an ASGI application."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from qlops_assets.core.clock import Clock, SystemClock
from qlops_assets.core.errors import QlopsError, SettingsError
from qlops_assets.core.prediction import FeatureLookup, ModelSource
from qlops_assets.serving.exchange import Identity, error_response
from qlops_assets.serving.server import Limits, ModelServer
from qlops_assets.serving.slots import Slots

_SHORTEST_TOKEN = 16


def build_app(
    *,
    environment: str,
    models: ModelSource,
    features: FeatureLookup,
    admin_token: str,
    model_name: str = "alpha",
    version: str | None = None,
    limits: Limits | None = None,
    clock: Clock | None = None,
) -> Starlette:
    """Return the model server of one environment.

    Args:
        environment: Its name; the version that is live there is loaded on start.
        models: Where versions are found and loaded.
        features: Where ``/v1/score`` finds the rows.
        admin_token: What the caller of the ``load`` route must send.
        model_name: The model's name in the routes.
        version: Load this one on start instead of the live one.
        limits: Bounds on bodies and on predictions under way.
        clock: Stamps when versions were loaded.

    Raises:
        SettingsError: the admin token is too short to protect anything.
    """
    if len(admin_token) < _SHORTEST_TOKEN:
        raise SettingsError(
            f"admin token: had {len(admin_token)} characters, must have at least {_SHORTEST_TOKEN}"
        )
    server = ModelServer(
        environment=environment,
        slots=Slots(models, features, clock or SystemClock()),
        features=features,
        admin_token=admin_token,
        model_name=model_name,
        first_version=version,
        limits=limits or Limits(),
    )
    app = Starlette(
        routes=server.routes(),
        middleware=[Middleware(Identity, server.current_version, server.traffic)],
        exception_handlers={QlopsError: _on_error, HTTPException: _on_error},
        lifespan=server.lifespan,
    )
    app.state.traffic = server.traffic
    return app


async def _on_error(_request: Request, error: Exception) -> Response:
    return error_response(error)
