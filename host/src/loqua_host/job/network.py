"""How a job's clients reach the world: by the proxy that the environment names, where it does."""

from types import SimpleNamespace
from typing import Any

import aiohttp
from livekit.agents.utils import http_context

__all__ = ["follow_proxy_variables"]


def follow_proxy_variables() -> None:
    """Have the HTTP session that LiveKit's plugins share choose its proxy by the environment.

    LiveKit has it use the worker's, for every address (livekit-agents 1.8.9,
    utils/http_context.py); NO_PROXY counts for what else a job reaches, too.
    """
    http_context.aiohttp = SimpleNamespace(  # type: ignore[attr-defined, assignment]  # what makes it
        ClientSession=_open_session, TCPConnector=aiohttp.TCPConnector
    )


def _open_session(*, proxy: object, connector: Any) -> aiohttp.ClientSession:
    del proxy
    return aiohttp.ClientSession(connector=connector, trust_env=True)
