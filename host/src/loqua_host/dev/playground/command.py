"""`loqua-host playground`: the page for a running host, in development."""

import asyncio
import os
import webbrowser
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from loqua_host.errors import LoquaError
from loqua_host.settings.host import Environment
from loqua_host.settings.load import load_settings
from loqua_host.settings.tutors import TutorSettings

from .server import OfferedTutor, PlaygroundSettings, serve_playground

__all__ = ["offer", "open_page", "run_playground"]

Say = Callable[[str], None]


async def run_playground(config: Path, environ: Mapping[str, str], port: int, say: Say) -> None:
    """Serve until cancelled.

    Args:
        config: The configuration directory of the running host.
        environ: Its environment, with API_BASE_URL of a dev API and LIVEKIT_URL.
        port: Where to listen on loopback; 0 for a free port.
        say: Takes each line for the developer.

    Raises:
        ConfigError: If the configuration has mistakes.
        LoquaError: If it is not that of development, or the port is taken.
    """
    settings = load_settings(config, environ)
    if settings.environment is not Environment.DEVELOPMENT:
        raise LoquaError(
            f"the playground is for development, and LOQUA_ENVIRONMENT is {settings.environment}: "
            "anyone at this machine could talk as any learner"
        )
    served = PlaygroundSettings(
        api_url=str(settings.api.api_base_url),
        livekit_url=settings.livekit.url,
        tutors=offer(settings.enabled_tutors),
        port=port,
    )
    try:
        async with serve_playground(served) as url:
            say(f"talk with a tutor at {url}; Ctrl-C ends this")
            await open_page(url)
            await asyncio.Event().wait()
    except OSError as error:
        raise LoquaError(f"port {port}: {error.strerror}; choose another one by --port") from None


def offer(tutors: Iterable[TutorSettings]) -> tuple[OfferedTutor, ...]:
    """Return tutors as the page offers them, the automatic one first."""
    offered = (OfferedTutor(one.name, one.agent_name or "") for one in tutors)
    return tuple(sorted(offered, key=lambda one: (bool(one.agent_name), one.name)))


async def open_page(url: str) -> None:
    """Open an address in the browser, if this machine has a desktop."""
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        await asyncio.to_thread(webbrowser.open, url)
