"""The one TLS context of a lesson's engines."""

import os
import ssl
import subprocess
import sys

import httpx2

from loqua_host.job import preload
from loqua_host.job.voice.session import build_session
from loqua_host.livekit_internals import sharing_certificates
from loqua_host.settings.engines import Engine, Engines

OPENAI = {"options": {"base_url": "http://127.0.0.1:9/v1", "api_key": "-"}}


def context_of(client: httpx2.AsyncClient) -> ssl.SSLContext:
    """Return what a client would open TLS connections with."""
    context = client._transport._pool._ssl_context  # type: ignore[attr-defined]
    assert isinstance(context, ssl.SSLContext)
    return context


async def test_engines_share_a_context_that_trusts_what_each_would_trust_alone() -> None:
    """Reading the certificates is the slowest part of a lesson's start."""
    engines = Engines(
        stt=Engine.model_validate({"use": "livekit.plugins.openai:STT", **OPENAI}),
        tts=Engine.model_validate({"use": "livekit.plugins.openai:TTS", **OPENAI}),
    )
    session = build_session(engines, "es", {})
    hearing, speaking = (
        context_of(engine._client._client)  # type: ignore[union-attr]
        for engine in (session.stt.wrapped_stt, session.tts)  # type: ignore[union-attr]
    )
    alone = httpx2.create_ssl_context()
    assert hearing is speaking
    assert hearing.cert_store_stats() == alone.cert_store_stats()
    assert (hearing.verify_mode, hearing.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_client_that_a_tutor_makes_has_a_context_of_its_own() -> None:
    """It may give it a certificate to show, which no engine's server has to see."""
    with sharing_certificates():
        shared = context_of(httpx2.AsyncClient())
    assert context_of(httpx2.AsyncClient()) is not shared


def test_what_jobs_share_is_loaded_without_readable_certificates_too() -> None:
    """The process that jobs are forked from starts; who needs certificates says what is wrong."""
    code = f"import sys, {preload.__name__}; print(*sys.modules)"
    run = subprocess.run(  # noqa: S603  # ours
        (sys.executable, "-c", code),
        env=os.environ | {"SSL_CERT_FILE": "/there/is/none.pem"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(preload.AT_FIRST_USE) <= set(run.stdout.split())
