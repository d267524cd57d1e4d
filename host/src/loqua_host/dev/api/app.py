"""The dev API as an ASGI application."""

import random
import time
from collections.abc import Callable
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from . import console, endpoints
from .body_limit import BodyLimit
from .calls import DevApi
from .errors import ApiRefusedError, invalid_request, moment
from .misbehaviour import ActiveFaults, Misbehaviour
from .settings import DevApiSettings
from .store import Store
from .versioning import Versioning

_LARGEST_BODY = 256 * 1024
_LONGEST_SHOWN = 200
_RENAMED = {413: "REQUEST_ENTITY_TOO_LARGE"}
"""Codes for statuses whose names in `http` depend on Python's version."""


def create_app(
    settings: DevApiSettings,
    *,
    clock: Callable[[], float] = time.time,
    chance: Callable[[], float] = random.random,
) -> FastAPI:
    """Create a Loqua API with its own learners, arrivals and faults.

    Args:
        settings: What it is started with.
        clock: Unix time; tokens expire by it.
        chance: A number from 0 to 1, for faults that affect a share of requests.
    """
    api = DevApi(settings, Store(settings.learners), ActiveFaults(settings.faults, chance))
    app = FastAPI(title="Loqua dev API", docs_url=None, redoc_url=None)
    app.state.api = api
    app.include_router(endpoints.v1)
    app.include_router(endpoints.v2)
    app.include_router(console.router)
    app.add_middleware(BodyLimit, largest=_LARGEST_BODY)
    app.add_middleware(Versioning, sunset=settings.v1_sunset)
    app.add_middleware(Misbehaviour, faults=api.active_faults, clock=clock)
    app.exception_handler(ApiRefusedError)(_on_refused)
    app.exception_handler(RequestValidationError)(_on_invalid)
    app.exception_handler(HTTPException)(_on_http_exception)
    return app


async def _on_refused(request: Request, error: ApiRefusedError) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else None
    return _refuse(request, error, headers)


async def _on_invalid(request: Request, error: RequestValidationError) -> Response:
    return _refuse(request, invalid_request([*error.errors()]))


async def _on_http_exception(request: Request, error: HTTPException) -> Response:
    """Return what the framework itself refuses: unknown paths and methods, bodies too large."""
    status = error.status_code
    code = _RENAMED.get(status) or HTTPStatus(status).name
    refused = ApiRefusedError(status, code, str(error.detail))
    return _refuse(request, refused, dict(error.headers or {}))


def _refuse(
    request: Request, refused: ApiRefusedError, headers: dict[str, str] | None = None
) -> Response:
    now: float = request.state.now
    api: DevApi = request.app.state.api
    api.store.receive(
        "refused",
        moment(now),
        {
            "request": f"{request.method} {request.url.path}"[:_LONGEST_SHOWN],
            "status": refused.status,
            "code": refused.code,
            "message": refused.message,
        },
        agent_id=request.headers.get("X-Agent-ID", "")[:_LONGEST_SHOWN],
    )
    return refused.answer(now, headers)
