"""Turns what can go wrong into a code for programs and a sentence for people."""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from shelfcast.errors import BundleError, HotStoreError
from shelfcast.serving.answers import Refusal

LOGGER = logging.getLogger(__name__)
FAULTS_SHOWN = 10


class Refused(Exception):
    """Ends a request with a reason."""

    def __init__(self, status: int, reason_code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason_code = reason_code


def refusal(status: int, reason_code: str, message: str) -> JSONResponse:
    """The answer to a request that gets no forecast."""
    return JSONResponse(Refusal(reason_code=reason_code, message=message).model_dump(), status_code=status)


def internal(request: Request, error: Exception) -> JSONResponse:
    """The answer when the forecaster itself is at fault: the log has the cause, the caller none of it."""
    LOGGER.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return refusal(500, "internal", "The forecaster failed, through no fault of the request. Its log says why.")


def add_refusals(app: FastAPI) -> None:
    """Lets the application answer each kind of error in its own way."""

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return refusal(error.status, error.reason_code, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = (_fault(tuple(map(str, each["loc"][1:])), each["msg"]) for each in error.errors()[:FAULTS_SHOWN])
        return refusal(422, "invalid_request", "; ".join(faults))

    @app.exception_handler(HotStoreError)
    async def no_store(_: Request, error: HotStoreError) -> JSONResponse:
        return refusal(503, "hot_store", str(error))

    @app.exception_handler(BundleError)
    async def unsound(_: Request, error: BundleError) -> JSONResponse:
        return refusal(409, "bundle", str(error))

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> JSONResponse:
        return refusal(error.status_code, "not_found" if error.status_code == 404 else "refused", str(error.detail))


def _fault(location: tuple[str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    return f"{'.'.join(location)}: {text}" if location else text
