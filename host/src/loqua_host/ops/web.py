"""The HTTP server of the ops address: health checks, metrics, status page.

It shows no personal data. What it changes, `drain` and `webhooks` describe.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from importlib import resources

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import SecretStr

from loqua_host.settings.certificates import RENEW
from loqua_host.settings.host import OpsSettings
from loqua_host.system.tasks import forever, supervised

from .access import PROBES, guard
from .health import Health, HealthState
from .recent_errors import RecentErrors
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

PAGE = {"/": "text/html", "/ops.css": "text/css", "/ops.js": "text/javascript"}


def build_app(
    look: Callable[[], HostStatus],
    judge: Callable[[HostStatus], Health],
    registry: CollectorRegistry,
    recent_errors: RecentErrors,
    tokens: Callable[[], Sequence[SecretStr]],
) -> web.Application:
    """Return the application: `/health`, `/health/live`, `/health/ready`, `/metrics`, `/`.

    Args:
        look: Returns the host's status.
        judge: Returns the health of a status.
        registry: The metrics.
        recent_errors: The recent errors.
        tokens: Returns the current tokens, one of which requests need, except probes.
    """

    async def live(_request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def ready(_request: web.Request) -> web.Response:
        is_ready = judge(look()).ready
        return web.Response(text=f"{is_ready}\n".lower(), status=200 if is_ready else 503)

    async def health(_request: web.Request) -> web.Response:
        judged = judge(look())
        failed = judged.state is HealthState.FAILED
        return web.json_response(_health(judged), status=503 if failed else 200)

    async def metrics(_request: web.Request) -> web.Response:
        body = generate_latest(registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def status(_request: web.Request) -> web.Response:
        status = look()
        errors = list(map(asdict, recent_errors.newest_first()))
        shown = {
            "health": _health(judge(status)),
            "status": asdict(status),
            "recent_errors": errors,
        }
        return web.json_response(shown)

    app = web.Application(middlewares=[guard(tokens, unless=PROBES | {WEBHOOK})])
    app.on_response_prepare.append(_add_headers)
    answers = {
        "/health/live": live,
        "/health/ready": ready,
        "/health": health,
        "/metrics": metrics,
        "/status": status,
    }
    for path, answer in answers.items():
        app.router.add_get(path, answer)
    for path in PAGE:
        app.router.add_get(path, _page)
    return app


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
        hint = "set ops.address and ops.port to what is free, or ops.port to null"
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
    name = request.path.removeprefix("/") or "ops.html"
    text = (resources.files(__package__) / "page" / name).read_text("utf-8")
    return web.Response(text=text, content_type=PAGE[request.path])


def _health(health: Health) -> dict[str, object]:
    levels = [
        {"name": level.name, "state": level.state, "findings": list(map(asdict, level.findings))}
        for level in health.levels
    ]
    return {"state": health.state, "ready": health.ready, "levels": levels}
