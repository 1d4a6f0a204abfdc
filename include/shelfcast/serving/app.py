"""The forecaster's HTTP interface. Everything but `/healthz` needs the bearer token."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from starlette.responses import JSONResponse, Response

from shelfcast.model.declaration import ModelDeclaration
from shelfcast.serving import releases as following
from shelfcast.serving.freshness import Freshness
from shelfcast.serving.predictor import smoke_test
from shelfcast.serving.refusals import Refused, add_refusals, internal, refusal
from shelfcast.serving.releases import Releases
from shelfcast.serving.requests import path_of
from shelfcast.serving.routes import Source, VectorReader, add_forecasts

LARGEST_BODY_BYTES = 64 << 10

Handler = Callable[[Request], Awaitable[Response]]


def create_app(
    reader: VectorReader,
    releases: Releases,
    *,
    models: Sequence[ModelDeclaration],
    token: str,
    freshness: Freshness | None,
) -> FastAPI:
    """The application; it follows the pointers of the releases for as long as it runs.

    Args:
        reader: The hot store.
        releases: The releases that may serve.
        models: The declared models; each one gets a route.
        token: Bearer token that every request but `/healthz` must carry.
        freshness: How old a vector may be; `None` for any age.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(releases.follow)
        follower = asyncio.create_task(_keep_following(releases))
        yield
        follower.cancel()

    app = FastAPI(title="Shelfcast forecaster", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    _add_guard(app, token, known={"/healthz", "/readyz", "/metrics", *map(path_of, models)})
    add_refusals(app)
    _add_health(app, releases)
    add_forecasts(app, Source(reader=reader, releases=releases, freshness=freshness), list(models))
    return app


async def _keep_following(releases: Releases) -> None:
    """Loads beside the requests: what serves goes on serving meanwhile."""
    while True:
        await asyncio.sleep(following.LOOK_EVERY_SECONDS)
        await asyncio.to_thread(releases.follow)


def _add_guard(app: FastAPI, token: str, *, known: set[str]) -> None:
    """Measures every request, lets in those that may, and answers even when the forecaster itself fails."""
    registry = CollectorRegistry()
    requests = Counter("forecaster_requests", "Requests by path and status", ["path", "status"], registry=registry)
    seconds = Histogram("forecaster_seconds", "Seconds a request took", ["path"], registry=registry)
    expected = f"Bearer {token}".encode()

    @app.middleware("http")
    async def guard(request: Request, call_next: Handler) -> Response:
        started = time.perf_counter()
        try:
            response = _denied(request, expected) or await call_next(request)
        except Exception as error:  # noqa: BLE001 - logged there; a caller never sees a stack trace
            response = internal(request, error)
        path = request.url.path if request.url.path in known else "other"
        requests.labels(path, response.status_code).inc()
        seconds.labels(path).observe(time.perf_counter() - started)
        return response

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")


def _add_health(app: FastAPI, releases: Releases) -> None:
    """Whether the process lives, what it serves, and whether a release would be fit to serve."""

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        names = releases.names
        status = 200 if any(names.values()) else 503
        return JSONResponse({"releases": names, "problem": releases.problem}, status_code=status)

    @app.post("/v1/releases/{model}/{release_id}/smoke")
    def smoke(model: str, release_id: str) -> dict[str, Any]:
        if model not in releases.models:
            raise Refused(404, "unknown_model", f"There is no model {model}.")
        return smoke_test(releases.load(model, release_id))


def _denied(request: Request, expected: bytes) -> Response | None:
    """The refusal of a request that may not come in; `None` for one that may."""
    if request.url.path != "/healthz":
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, expected):
            return refusal(401, "unauthorised", "Send the header Authorization: Bearer <token>.")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 9 or int(length) > LARGEST_BODY_BYTES:
        return refusal(413, "body_too_large", f"A request may have {LARGEST_BODY_BYTES} bytes.")
    if request.method == "POST" and "content-length" not in request.headers:
        return refusal(411, "length_required", "Send the header Content-Length.")
    return None
