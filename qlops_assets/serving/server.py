"""The routes of a model server and what they share."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qlops_assets.core.errors import BadRequestError, QlopsError
from qlops_assets.core.prediction import FeatureLookup
from qlops_assets.serving.exchange import (
    ARM_LIVE,
    RefusedError,
    Traffic,
    check_bearer,
    error_response,
    json_response,
    read_body,
)
from qlops_assets.serving.metrics import CONTENT_TYPE, UNKNOWN, ServerMetrics
from qlops_assets.serving.protocol import (
    inference_answer,
    model_metadata,
    read_inference,
    read_json_object,
    server_metadata,
)
from qlops_assets.serving.scoring import find_rows, read_score, score_answer
from qlops_assets.serving.slots import Slot, Slots
from qlops_assets.serving.tensors import required, shown

T = TypeVar("T")

log = logging.getLogger(__name__)

_MIB = 1 << 20
# Up to here parsing and predicting take about as long as handing them to another thread and back.
_INLINE_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes at once: bytes of one body, predictions under way."""

    body_bytes: int = 32 * _MIB
    in_flight: int = 64


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answered prediction: the document, and how many rows were scored."""

    response: Response
    rows: int


class ModelServer:
    """The routes of a model server and what they share."""

    def __init__(
        self,
        *,
        environment: str,
        slots: Slots,
        features: FeatureLookup,
        admin_token: str,
        model_name: str,
        first_version: str | None,
        limits: Limits,
    ) -> None:
        self._environment, self._model = environment, model_name
        self._slots, self._features = slots, features
        self._token, self._first_version, self._limits = admin_token, first_version, limits
        self.traffic = Traffic(limits.in_flight)
        self._metrics = ServerMetrics(
            environment=environment,
            model=model_name,
            slots=slots,
            in_flight=self.traffic.in_flight,
        )
        # A model predicts on one thread, so as many at once as there are cores.
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="predict")

    def routes(self) -> list[Route]:
        """Return the routes, those of the protocol first."""
        model, version = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
        return [
            Route("/v2", self.metadata),
            Route("/v2/", self.metadata),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            *(Route(path, self.model_metadata) for path in (model, version)),
            *(Route(f"{path}/ready", self.model_ready) for path in (model, version)),
            *(Route(f"{path}/infer", self.infer, methods=["POST"]) for path in (model, version)),
            Route("/v2/repository/models/{model}/load", self.load, methods=["POST"]),
            Route("/v1/score", self.score, methods=["POST"]),
            Route("/metrics", self.metrics),
        ]

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Load the first version beside the server, which answers 503 until then."""
        loading = asyncio.create_task(asyncio.to_thread(self._load_first))
        loading.add_done_callback(_report)
        try:
            yield
        finally:
            await asyncio.wait([loading])
            self._threads.shutdown(wait=False, cancel_futures=True)

    def current_version(self) -> str | None:
        """Return the version that answers now."""
        slot = self._slots.current
        return slot.version if slot else None

    async def metadata(self, _request: Request) -> Response:
        """``GET /v2``: what this server is."""
        more = {"environment": self._environment, "model_version": self.current_version()}
        return json_response({**server_metadata(_our_version()), **more})

    async def live(self, _request: Request) -> Response:
        """``GET /v2/health/live``: the process answers."""
        return json_response({"live": True, "model_version": self.current_version()})

    async def ready(self, _request: Request) -> Response:
        """``GET /v2/health/ready``: a version is loaded and warmed, else 503."""
        slot = self._slots.current
        if slot is None:
            return json_response({"error": self._slots.reason, "ready": False, "live": True}, 503)
        # The published text names this field ``live``; servers and clients say ``ready``.
        return json_response({"ready": True, "live": True, "model_version": slot.version})

    async def model_metadata(self, request: Request) -> Response:
        """``GET /v2/models/{m}[/versions/{v}]``: what tensors the model takes and gives."""
        slot = self._slot(request)
        return json_response(
            model_metadata(
                model=self._model,
                version=slot.version,
                features=slot.columns,
                platform=slot.platform,
                is_simulated=slot.is_simulated,
            )
        )

    async def model_ready(self, request: Request) -> Response:
        """``GET …/ready``: this model version answers, else 503."""
        slot = self._slot(request)
        return json_response({"name": self._model, "ready": True, "model_version": slot.version})

    async def metrics(self, _request: Request) -> Response:
        """``GET /metrics``: for Prometheus."""
        return Response(self._metrics.exposition(), media_type=CONTENT_TYPE)

    async def infer(self, request: Request) -> Response:
        """``POST …/infer``: score the rows that the request carries."""
        return await self._measured(request, self._infer)

    async def score(self, request: Request) -> Response:
        """``POST /v1/score``: score instruments of a day, features looked up here."""
        return await self._measured(request, self._score)

    async def load(self, request: Request) -> Response:
        """``POST /v2/repository/models/{m}/load``: let another version answer."""
        check_bearer(request, self._token)
        self._check_model(request)
        body = read_json_object(await read_body(request, _MIB))
        parameters = required(body, "parameters")
        if not isinstance(parameters, dict):
            raise BadRequestError("parameters", f"was {shown(parameters)}", "must be an object")
        version = required(parameters, "version", "parameters")
        if not isinstance(version, str):
            raise BadRequestError("parameters.version", f"was {shown(version)}", "must be text")
        previous = self.current_version()
        slot = await asyncio.to_thread(self._slots.load, version)
        request.state.model_version = slot.version
        log.info("%s now serves %s (before: %s)", self._environment, slot.version, previous)
        return json_response(
            {"name": self._model, "model_version": slot.version, "previous_version": previous}
        )

    async def _infer(self, request: Request) -> _Answer:
        slot = self._slot(request)
        body = await read_body(request, self._limits.body_bytes)

        def predict() -> _Answer:
            asked = read_inference(body, slot.columns)
            scores = slot.scores(asked.values)
            answer = inference_answer(
                asked,
                scores,
                model=self._model,
                version=slot.version,
                is_simulated=slot.is_simulated,
            )
            return _Answer(json_response(answer), len(scores))

        return predict() if len(body) <= _INLINE_BYTES else await self._in_thread(predict)

    async def _score(self, request: Request) -> _Answer:
        slot = self._slot(request)
        asked = read_score(await read_body(request, self._limits.body_bytes))

        def predict() -> _Answer:
            rows = find_rows(self._features, slot.predictor, asked)
            answer = score_answer(slot, rows, asked, model=self._model)
            return _Answer(json_response(answer), len(rows.instruments))

        return await self._in_thread(predict)  # looking rows up may read a disk

    async def _measured(
        self, request: Request, work: Callable[[Request], Awaitable[_Answer]]
    ) -> Response:
        started, code, rows = time.perf_counter(), 500, 0
        try:
            with self.traffic.place():
                answer = await work(request)
            response, rows = answer.response, answer.rows
            code = response.status_code
        except QlopsError as error:
            response = error_response(error)
            code = response.status_code
        finally:
            self._metrics.record(
                model=self._model,
                version=request.state.model_version or UNKNOWN,
                arm=ARM_LIVE,
                code=code,
                seconds=time.perf_counter() - started,
                rows=rows,
            )
        return response

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _slot(self, request: Request) -> Slot:
        self._check_model(request)
        slot = self._slots.current
        if slot is None:
            raise RefusedError(503, f"not ready: {self._slots.reason}", {"retry-after": "1"})
        request.state.model_version = slot.version
        asked: Any = request.path_params.get("version", slot.version)
        if asked != slot.version:
            raise RefusedError(
                404, f"version {shown(asked)} is not served here; serving {slot.version!r}"
            )
        return slot

    def _check_model(self, request: Request) -> None:
        asked = request.path_params.get("model", self._model)
        if asked != self._model:
            raise RefusedError(404, f"unknown model {shown(asked)}; known: {self._model!r}")

    def _load_first(self) -> None:
        try:
            slot = self._slots.load_first(self._environment, self._first_version)
        except QlopsError as error:
            log.warning("%s does not serve yet: %s", self._environment, error)
        else:
            log.info("%s serves %s", self._environment, slot.version if slot else "nothing yet")


def _report(loading: "asyncio.Task[None]") -> None:
    if not loading.cancelled() and loading.exception():
        log.error("the first version was not loaded", exc_info=loading.exception())


def _our_version() -> str:
    try:
        return package_version("qlops_assets")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unreleased"
