"""`loqua-host devapi`: the dev API on its own, for a host started by hand."""

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from .api.server import serve
from .api.settings import DevApiSettings

__all__ = ["host_variables", "run_devapi"]

AGENT_ID: Final = "loqua-host-dev"


async def run_devapi(
    environ: Mapping[str, str],
    port: int,
    *,
    say: Callable[[str], None],
    v1_sunset: datetime | None = None,
) -> None:
    """Serve until cancelled, having said what a host needs to know.

    Args:
        environ: SHARED_SECRET and LIVEKIT_* are taken from it where they are set; LiveKit's
            are otherwise those of `livekit-server --dev`.
        port: Where to listen; 0 picks a free port.
        say: Takes the lines for the developer, which hold the secrets of a host for it.
        v1_sunset: When v1 ends (UTC), which is announced six months ahead; None if it stays.
    """
    shared_secret = environ.get("SHARED_SECRET") or secrets.token_hex(16)
    settings = DevApiSettings(
        shared_secret=shared_secret,
        livekit_url=environ.get("LIVEKIT_URL", "ws://127.0.0.1:7880"),
        livekit_api_key=environ.get("LIVEKIT_API_KEY", "devkey"),
        livekit_api_secret=environ.get("LIVEKIT_API_SECRET", "secret"),
        port=port,
        v1_sunset=v1_sunset and v1_sunset.replace(tzinfo=UTC),
    )

    def ready(url: str) -> None:
        say(f"the dev API answers at {url}; give a host these:")
        for name, value in host_variables(settings, url).items():
            say(f"  export {name}={value}")

    await serve(settings, ready=ready)


def host_variables(settings: DevApiSettings, url: str) -> dict[str, str]:
    """Return the variables of a host that uses this API and its LiveKit server.

    Args:
        settings: The API's settings.
        url: Where it answers.
    """
    return {
        "API_BASE_URL": url,
        "AGENT_ID": AGENT_ID,
        "AGENT_JWT_TOKEN": settings.mint_agent_jwt(AGENT_ID),
        "SHARED_SECRET": settings.shared_secret.get_secret_value(),
        "LIVEKIT_URL": settings.livekit_url,
        "LIVEKIT_API_KEY": settings.livekit_api_key,
        "LIVEKIT_API_SECRET": settings.livekit_api_secret.get_secret_value(),
    }
