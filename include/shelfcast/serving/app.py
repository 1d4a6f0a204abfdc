"""The forecaster's HTTP interface. Everything but `/healthz` needs the bearer token."""

import hmac
import time
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any, Protocol

import numpy as np
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from shelfcast.errors import BundleError, HotStoreError
from shelfcast.hot_store.vector import Vector
from shelfcast.serving.predictor import Override, Predictor, Reason
from shelfcast.serving.releases import Releases
from shelfcast.serving.requests import (
    DayForecast,
    DemandAnswer,
    DemandRequest,
    OrderValueAnswer,
    OrderValueRequest,
    Refusal,
)

LARGEST_BODY_BYTES = 64 << 10
QUANTILES = ("q05", "q25", "q50", "q75", "q95")
LEVEL = "item × store × day"
DEMAND, ORDER_VALUE = "demand", "order_value"

Handler = Callable[[Request], Awaitable[Response]]


class VectorReader(Protocol):
    """Reads the hot store."""

    async def read(self, model: str, entity: str, fields: tuple[str, ...]) -> tuple[str, Vector | None]:
        """Generation that is read, and the entity's vector in it.

        Raises:
            HotStoreError: There is no generation, the store does not answer, or the vector is damaged.
        """
        ...


class Refused(Exception):
    """Ends a request with a reason."""

    def __init__(self, status: int, reason_code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason_code = reason_code


def create_app(reader: VectorReader, releases: Releases, *, token: str) -> FastAPI:
    """The application.

    Args:
        reader: The hot store.
        releases: The releases that may serve.
        token: Bearer token that every request but `/healthz` must carry.
    """
    app = FastAPI(title="Shelfcast forecaster", docs_url=None, redoc_url=None, openapi_url=None)
    registry = CollectorRegistry()
    requests = Counter("forecaster_requests", "Requests by path and status", ["path", "status"], registry=registry)
    seconds = Histogram("forecaster_seconds", "Seconds a request took", ["path"], registry=registry)
    expected = f"Bearer {token}".encode()

    @app.middleware("http")
    async def guard(request: Request, call_next: Handler) -> Response:
        started = time.perf_counter()
        response = await _guarded(request, call_next, expected)
        path = request.url.path if request.url.path in KNOWN_PATHS else "other"
        requests.labels(path, response.status_code).inc()
        seconds.labels(path).observe(time.perf_counter() - started)
        return response

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    _answer_refusals(app)
    _add_health(app, releases)
    _add_forecasts(app, reader, releases)
    return app


def _add_health(app: FastAPI, releases: Releases) -> None:
    """Whether the process lives, what it serves, and whether a release would be fit to serve."""

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        serving = {model: releases.current(model) for model in (DEMAND, ORDER_VALUE)}
        names = {model: found.bundle.release_id if found else None for model, found in serving.items()}
        status = 200 if any(names.values()) else 503
        return JSONResponse({"releases": names, "problem": releases.problem}, status_code=status)

    @app.post("/v1/releases/{model}/{release_id}/smoke")
    def smoke(model: str, release_id: str) -> dict[str, Any]:
        if model not in (DEMAND, ORDER_VALUE):
            raise Refused(404, "unknown_model", f"There is no model {model}.")
        return smoke_test(releases.load(model, release_id))


def _add_forecasts(app: FastAPI, reader: VectorReader, releases: Releases) -> None:
    """What the forecaster is for."""

    @app.post("/v1/demand/forecast")
    async def forecast(asked: DemandRequest) -> DemandAnswer:
        predictor = _serving(releases, DEMAND)
        generation, vector = await reader.read(DEMAND, asked.series_id, predictor.declaration.vector_fields)
        if vector is None:
            raise Refused(404, Reason.UNKNOWN_SERIES, f"There is no active series {asked.series_id}: write item@store.")
        return _demand_answer(predictor, vector, generation, asked)

    @app.post("/v1/order-value/predict")
    async def predict(asked: OrderValueRequest) -> OrderValueAnswer:
        predictor = _serving(releases, ORDER_VALUE)
        name, fields = str(asked.customer_id), predictor.declaration.vector_fields
        generation, vector = await reader.read(ORDER_VALUE, name, fields)
        if vector is None:
            raise Refused(404, Reason.UNKNOWN_SERIES, f"There is no customer {asked.customer_id} with an order yet.")
        mean, quantiles = predictor.predict(vector.numbers[None, :].astype(float))
        return OrderValueAnswer(
            customer_id=asked.customer_id,
            release_id=predictor.bundle.release_id,
            generation=generation,
            business_date=vector.business_date,
            mean=float(mean[0]),
            **_named(quantiles[0]),
        )


KNOWN_PATHS = frozenset({"/healthz", "/readyz", "/metrics", "/v1/demand/forecast", "/v1/order-value/predict"})


def smoke_test(predictor: Predictor) -> dict[str, Any]:
    """Predicts from vectors without any known number and from plain ones; answers what came out."""
    declaration = predictor.declaration
    rows = np.full((2, len(declaration.as_of_features)), np.nan)
    rows[1] = 1.0
    if declaration.kind == "regression":
        mean, quantiles = predictor.predict(rows)
        means, bands = mean, quantiles
    else:
        fields = np.full((2, len(declaration.vector_fields)), np.nan, dtype=np.float32)
        fields[1] = 1.0
        vectors = [Vector(business_date=date(2024, 1, 1), numbers=numbers) for numbers in fields]
        made = predictor.forecast(vectors, horizon_days=declaration.horizon)
        means, bands = made.mean, made.quantiles
    is_sound = (
        np.isfinite(means).all() and np.isfinite(bands).all() and (means >= 0).all() and (np.diff(bands) >= 0).all()
    )
    return {"release_id": predictor.bundle.release_id, "is_sound": bool(is_sound), "rows": int(means.size)}


def _demand_answer(predictor: Predictor, vector: Vector, generation: str, asked: DemandRequest) -> DemandAnswer:
    horizon = predictor.declaration.horizon
    furthest = max([asked.horizon_days, *(override.horizon_day for override in asked.overrides)])
    if furthest > horizon:
        raise Refused(
            422, "horizon_too_long", f"This release forecasts {horizon} days ahead, asked for were {furthest}."
        )
    if any(override.horizon_day > asked.horizon_days for override in asked.overrides):
        raise Refused(422, "override_beyond_horizon", "An override names a day that was not asked for.")
    if not predictor.has_history(vector):
        raise Refused(404, Reason.NO_HISTORY, f"{asked.series_id} has not been observed on a single day yet.")
    overrides = [Override(**override.model_dump()) for override in asked.overrides]
    made = predictor.forecast([vector], horizon_days=asked.horizon_days, overrides=overrides)
    return DemandAnswer(
        series_id=asked.series_id,
        release_id=predictor.bundle.release_id,
        generation=generation,
        business_date=vector.business_date,
        level=LEVEL,
        forecasts=[
            DayForecast(
                sales_date=day,
                horizon_day=number + 1,
                mean=float(made.mean[0, number]),
                **_named(made.quantiles[0, number]),
            )
            for number, day in enumerate(made.sales_dates)
        ],
    )


def _named(quantiles: Any) -> dict[str, float]:
    return {name: float(value) for name, value in zip(QUANTILES, quantiles, strict=True)}


def _serving(releases: Releases, model: str) -> Predictor:
    predictor = releases.current(model)
    if predictor is None:
        raise Refused(
            503, "no_release", f"No release of {model} serves yet; model_deployment_{model} makes the first one."
        )
    return predictor


async def _guarded(request: Request, call_next: Handler, expected: bytes) -> Response:
    if request.url.path != "/healthz":
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, expected):
            return _refusal(401, "unauthorised", "Send the header Authorization: Bearer <token>.")
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > LARGEST_BODY_BYTES:
        return _refusal(413, "body_too_large", f"A request may have {LARGEST_BODY_BYTES} bytes.")
    if request.method == "POST" and "content-length" not in request.headers:
        return _refusal(411, "length_required", "Send the header Content-Length.")
    return await call_next(request)


def _answer_refusals(app: FastAPI) -> None:
    """Turns what can go wrong into a code and a sentence."""

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return _refusal(error.status, error.reason_code, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = [
            f"{'.'.join(str(part) for part in fault['loc'][1:])}: {fault['msg']}" for fault in error.errors()[:10]
        ]
        return _refusal(422, "invalid_request", "; ".join(faults))

    @app.exception_handler(HotStoreError)
    async def no_store(_: Request, error: HotStoreError) -> JSONResponse:
        return _refusal(503, "hot_store", str(error))

    @app.exception_handler(BundleError)
    async def unsound(_: Request, error: BundleError) -> JSONResponse:
        return _refusal(409, "bundle", str(error))

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> JSONResponse:
        return _refusal(error.status_code, "not_found" if error.status_code == 404 else "refused", str(error.detail))


def _refusal(status: int, reason_code: str, message: str) -> JSONResponse:
    return JSONResponse(Refusal(reason_code=reason_code, message=message).model_dump(), status_code=status)
