"""The playground's HTTP server, on loopback: the page, its choices, visits and records."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Final
from urllib.parse import urlsplit

import httpx
from aiohttp import web
from pydantic import ValidationError

from .guard import require_same_origin
from .visits import ApiUnusableError, VisitRequest, Visits

__all__ = ["OfferedTutor", "PlaygroundSettings", "build_playground", "serve_playground"]

TYPES: Final = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "LICENSE": "text/plain",
}
"""Media types by the ends of the names of the page's files."""

NONCE: Final = "{{nonce}}"
"""Where the page has the nonce of its styles: wavesurfer writes a style element."""


_NONCE_KEY: Final = web.RequestKey("nonce", str)


@dataclass(frozen=True, slots=True)
class OfferedTutor:
    """A tutor to choose: its name in config/tutors, and its agent name, empty if automatic."""

    name: str
    agent_name: str


@dataclass(frozen=True, slots=True)
class PlaygroundSettings:
    """Settings of a playground.

    Attributes:
        api_url: The dev API.
        livekit_url: Where the page connects to.
        tutors: The tutors of the host.
        port: The port on loopback; 0 for a free one.
    """

    api_url: str
    livekit_url: str
    tutors: Sequence[OfferedTutor]
    port: int = 0


@asynccontextmanager
async def serve_playground(settings: PlaygroundSettings) -> AsyncIterator[str]:
    """Serve for the duration of a block, and yield the address.

    Raises:
        OSError: If the port is taken.
    """
    async with httpx.AsyncClient(base_url=settings.api_url, trust_env=False) as http:
        app = build_playground(settings, Visits(http))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", settings.port).start()
            host, port, *_ = runner.addresses[0]
            yield f"http://{host}:{port}/"
        finally:
            await runner.cleanup()


def build_playground(settings: PlaygroundSettings, visits: Visits) -> web.Application:
    """Return the application.

    Args:
        settings: What it is served for.
        visits: The dev API.
    """

    async def choices(_request: web.Request) -> web.Response:
        learners = [one.model_dump() for one in await visits.learners()]
        return web.json_response(
            {"learners": learners, "tutors": [asdict(one) for one in settings.tutors]}
        )

    async def begin(request: web.Request) -> web.Response:
        try:
            wanted = VisitRequest.model_validate_json(await request.read())
        except ValidationError:
            return web.json_response({"error": "wish_invalid"}, status=400)
        return web.json_response((await visits.begin(wanted)).model_dump())

    async def records(request: web.Request) -> web.Response:
        found = await visits.records(request.match_info["learner"], request.match_info["visit"])
        return web.json_response({"sessions": found})

    async def history(request: web.Request) -> web.Response:
        held = await visits.history(request.match_info["learner"])
        return web.json_response({"sessions": [one.model_dump(mode="json") for one in held]})

    app = web.Application(middlewares=[require_same_origin, _explain], client_max_size=16 * 1024)
    app.on_response_prepare.append(_header_writer(settings.livekit_url))
    app.router.add_get("/api/choices", choices)
    app.router.add_post("/api/visits", begin)
    app.router.add_get("/api/records/{learner}/{visit}", records)
    app.router.add_get("/api/history/{learner}", history)
    app.router.add_get("/", _page)
    app.router.add_get("/{name:[a-z-]+\\.[a-z]+|vendor/[A-Za-z.-]+}", _file)
    return app


@web.middleware
async def _explain(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer with a code, which the page explains, if the dev API cannot be used."""
    try:
        return await handler(request)
    except ApiUnusableError as error:
        return web.json_response({"error": str(error)}, status=502)


def _header_writer(
    livekit_url: str,
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return what adds the headers of all responses. The page reaches this server and LiveKit."""
    scheme, host, *_ = urlsplit(livekit_url)
    livekit = f"{scheme}://{host} {'https' if scheme == 'wss' else 'http'}://{host}"
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'{nonce}; img-src 'self'; "
        f"media-src blob:; connect-src 'self' blob: {livekit}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )

    async def write(request: web.Request, response: web.StreamResponse) -> None:
        nonce = f" 'nonce-{request[_NONCE_KEY]}'" if _NONCE_KEY in request else ""
        response.headers.update(
            {
                "Cache-Control": "no-store",
                "Content-Security-Policy": policy.format(nonce=nonce),
                "Cross-Origin-Opener-Policy": "same-origin",
                "Cross-Origin-Resource-Policy": "same-origin",
                "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
            }
        )

    return write


async def _page(request: web.Request) -> web.Response:
    nonce = request[_NONCE_KEY] = secrets.token_urlsafe(16)
    text = (resources.files(__package__) / "page/index.html").read_text("utf-8")
    return web.Response(text=text.replace(NONCE, nonce), content_type="text/html")


async def _file(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    file = resources.files(__package__) / "page" / name
    kind = TYPES.get(name.rpartition(".")[2])
    if kind is None or not file.is_file():
        raise web.HTTPNotFound
    return web.Response(text=file.read_text("utf-8"), content_type=kind)
