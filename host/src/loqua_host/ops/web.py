"""The HTTP server of the ops address: health checks, metrics, status page.

It shows no personal data. What it changes, `drain` and `webhooks` describe.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from importlib import resources
from pathlib import PurePath

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import SecretStr

from loqua_host.settings.certificates import RENEW
from loqua_host.settings.host import OpsSettings
from loqua_host.system.tasks import forever, supervised

from .access import PROBES, guard
from .health import Health, HealthState
from .runbooks import render_runbook
from .snapshot import HostSnapshot
from .status import HostStatus
from .tls import ServedCertificate
from .webhooks import WEBHOOK

__all__ = ["build_app", "serve_ops"]

log = structlog.get_logger()

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

PAGE = resources.files(__package__) / "page"
TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript"}


def build_app(
    look: Callable[[], HostStatus],
    judge: Callable[[HostStatus], Health],
    snapshot: Callable[[], HostSnapshot],
    registry: CollectorRegistry,
    tokens: Callable[[], Sequence[SecretStr]],
) -> web.Application:
    """Return the application: status page, runbooks, metrics and health.

    Args:
        look: Returns the host's status.
        judge: Returns the health of a status.
        snapshot: Returns what the status page shows.
        registry: The metrics.
        tokens: Returns the current tokens, one of which requests need, except probes.
    """

    async def live(_request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def ready(_request: web.Request) -> web.Response:
        return _probed(judge(look()).ready)

    async def active(_request: web.Request) -> web.Response:
        return _probed(judge(look()).active)

    async def health(_request: web.Request) -> web.Response:
        judged = judge(look())
        failed = judged.state is HealthState.FAILED
        return web.json_response(_health(judged), status=503 if failed else 200)

    async def metrics(_request: web.Request) -> web.Response:
        body = generate_latest(registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def status(_request: web.Request) -> web.Response:
        response = web.json_response(text=snapshot().model_dump_json())
        response.enable_compression()  # series compress to a tenth
        return response

    app = web.Application(middlewares=[guard(tokens, unless=PROBES | {WEBHOOK})])
    app.on_response_prepare.append(_add_headers)
    answers = {
        "/health/live": live,
        "/health/ready": ready,
        "/health/active": active,
        "/health": health,
        "/metrics": metrics,
        "/status": status,
        "/runbooks/{name}": _runbook,
        **{f"/{file.name.removeprefix('ops.html')}": _page for file in PAGE.iterdir()},
    }
    for path, answer in answers.items():
        app.router.add_get(path, answer)
    return app


def _probed(answer: bool) -> web.Response:  # the answer to a probe's question
    return web.Response(text=f"{answer}\n".lower(), status=200 if answer else 503)


@asynccontextmanager
async def serve_ops(
    settings: OpsSettings, app: web.Application, certificate: ServedCertificate | None = None
) -> AsyncIterator[None]:
    """Serve at the ops address for the duration of a block.

    If the address or the certificate is unusable, the host runs without it.

    Args:
        settings: The address.
        app: The application.
        certificate: The certificate, or None to serve without TLS.
    """
    if settings.port is None:
        yield
        return
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        async with supervised() as tasks:
            await _listen(runner, settings.address, settings.port, certificate, tasks)
            yield
    finally:
        await runner.cleanup()


async def _listen(
    runner: web.AppRunner,
    address: str,
    port: int,
    certificate: ServedCertificate | None,
    tasks: asyncio.TaskGroup,
) -> None:
    try:
        context = certificate.load() if certificate else None
        await web.TCPSite(runner, address, port, ssl_context=context).start()
    except OSError as error:
        hint = "set ops.address and ops.port to a free port, or ops.port to null"
        log.error("ops.unavailable", why=str(error), hint=hint)
        return
    host, got, *_ = runner.addresses[0]
    if certificate is None or context is None:
        log.info("ops.serving", address=host, port=got, tls=False)
        return
    certificate.on_served()
    until = certificate.expires_at
    log.info("ops.serving", address=host, port=got, tls=True, certificate_expires_at=until)
    if (left := certificate.seconds_left()) is not None and left <= 0:
        log.error("ops.certificate_expired", hint=RENEW)
    tasks.create_task(forever(partial(certificate.follow_renewals, context)))


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


async def _page(request: web.Request) -> web.Response:
    file = PAGE / (request.path.removeprefix("/") or "ops.html")
    kind = TYPES[PurePath(file.name).suffix]
    return web.Response(text=file.read_text("utf-8"), content_type=kind)


async def _runbook(request: web.Request) -> web.Response:
    page = render_runbook(request.match_info["name"])
    if page is None:
        raise web.HTTPNotFound(text="there is no such runbook\n")
    return web.Response(text=page, content_type="text/html")


def _health(health: Health) -> dict[str, object]:
    levels = [
        {"name": level.name, "state": level.state, "findings": list(map(asdict, level.findings))}
        for level in health.levels
    ]
    return {"state": health.state, "ready": health.ready, "levels": levels}
