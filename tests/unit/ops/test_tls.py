"""The ops address over TLS, and a renewed certificate."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from structlog.testing import capture_logs
from tests.certificates import issue

from loqua_host.core.clock import SystemClock
from loqua_host.ops.tls import ServedCertificate
from loqua_host.ops.web import serve_ops
from loqua_host.settings.certificates import expires_at, serving_context
from loqua_host.settings.host import OpsSettings, TlsSettings
from loqua_host.system.tasks import background


class Looks(SystemClock):
    """A clock whose sleeps end when a test has the files checked."""

    def __init__(self) -> None:
        self.waits = asyncio.Event()
        self.ends = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Wait for the test."""
        del seconds
        self.ends.clear()
        self.waits.set()
        await self.ends.wait()

    async def look(self) -> None:
        """Check the files for changes once."""
        self.waits.clear()
        self.ends.set()
        await self.waits.wait()


@asynccontextmanager
async def serving(tls: TlsSettings | None) -> AsyncIterator[int]:
    """Serve a page; return its port."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="here")

    app = web.Application()
    app.router.add_get("/", page)
    with capture_logs() as logs:
        certificate = tls and ServedCertificate(tls, SystemClock())
        async with serve_ops(OpsSettings(port=0), app, certificate):
            [line] = [line for line in logs if line["event"] == "ops.serving"]
            yield line["port"]


async def test_whoever_trusts_the_certificate_asks_over_tls_and_nobody_without(
    tmp_path: Path,
) -> None:
    """By today's versions of the protocol alone."""
    given = issue(tmp_path)
    trust = ssl.create_default_context(cafile=given["certificate"])
    async with serving(TlsSettings.model_validate(given)) as port:
        async with httpx.AsyncClient(verify=trust) as client:
            assert (await client.get(f"https://127.0.0.1:{port}/")).text == "here"
            with pytest.raises(httpx.HTTPError):
                await client.get(f"http://127.0.0.1:{port}/")
        async with httpx.AsyncClient() as stranger:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await stranger.get(f"https://127.0.0.1:{port}/")
    assert (
        serving_context(TlsSettings.model_validate(given)).minimum_version >= ssl.TLSVersion.TLSv1_2
    )


async def test_a_certificate_that_went_costs_no_lessons(tmp_path: Path) -> None:
    """The host says so and goes on, as for a port that is taken."""
    tls = TlsSettings.model_validate(issue(tmp_path))
    tls.key.unlink()
    certificate = ServedCertificate(tls, SystemClock())
    with capture_logs() as logs:
        async with serve_ops(OpsSettings(port=0), web.Application(), certificate):
            pass
    assert [line["event"] for line in logs] == ["ops.unavailable"]
    assert certificate.seconds_left() is None


def shown(context: ssl.SSLContext) -> bytes:
    """Return the certificate that a client is shown, without a network."""
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname, asking.verify_mode = False, ssl.CERT_NONE
    asked, answered = (ssl.MemoryBIO(), ssl.MemoryBIO())
    client = asking.wrap_bio(answered, asked)
    server = context.wrap_bio(asked, answered, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client.getpeercert(binary_form=True) or b""


async def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    """One whose key is not there yet is not; the one before stays until it is."""
    tls = TlsSettings.model_validate(issue(tmp_path))
    context, clock = serving_context(tls), Looks()
    certificate = ServedCertificate(tls, clock)
    old_key, first = tls.key.read_bytes(), shown(context)
    async with background() as tasks:
        tasks.create_task(certificate.follow_renewals(context))
        await clock.waits.wait()
        with capture_logs() as logs:
            await clock.look()
            assert logs == []
            issue(tmp_path)
            new_key = tls.key.read_bytes()
            tls.key.write_bytes(old_key)
            await clock.look()
            assert [line["event"] for line in logs] == ["ops.certificate_kept"]
            assert shown(context) == first
            tls.key.write_bytes(new_key)
            await clock.look()
            assert [line["event"] for line in logs[1:]] == ["ops.certificate_renewed"]
            assert logs[1]["certificate_expires_at"] == expires_at(tls) == certificate.expires_at
    assert shown(context) == ssl.PEM_cert_to_DER_cert(tls.certificate.read_text()) != first


@pytest.mark.parametrize(("days", "events"), [(1, []), (-1, ["ops.certificate_expired"])])
async def test_a_certificate_that_has_expired_is_said_at_the_start_and_costs_no_lessons(
    tmp_path: Path, days: float, events: list[str]
) -> None:
    """Clients that verify it cannot reach the host; the log gives the reason."""
    tls = TlsSettings.model_validate(issue(tmp_path, days=days))
    certificate = ServedCertificate(tls, SystemClock())
    with capture_logs() as logs:
        async with serve_ops(OpsSettings(port=0), web.Application(), certificate):
            pass
    assert [line["event"] for line in logs] == ["ops.serving", *events]
    assert certificate.seconds_left() == pytest.approx(days * 86400, abs=60)
    assert logs[0]["certificate_expires_at"] == pytest.approx(time.time() + days * 86400, abs=60)
