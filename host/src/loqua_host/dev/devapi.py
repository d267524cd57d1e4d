"""`loqua-host devapi`: the dev API on its own, for a host started by hand."""

import secrets
from collections.abc import Callable, Mapping

from .api.server import serve
from .api.settings import DevApiSettings

__all__ = ["run_devapi"]


async def run_devapi(environ: Mapping[str, str], port: int, *, say: Callable[[str], None]) -> None:
    """Serve until cancelled, having said what a host needs to know.

    Args:
        environ: SHARED_SECRET and LIVEKIT_* are taken from it where they are set; LiveKit's
            are otherwise those of `livekit-server --dev`.
        port: Where to listen; 0 picks a free port.
        say: Takes the lines for the developer, which hold this API's own secrets.
    """
    shared_secret = environ.get("SHARED_SECRET") or secrets.token_hex(16)
    settings = DevApiSettings(
        shared_secret=shared_secret,
        livekit_url=environ.get("LIVEKIT_URL", "ws://127.0.0.1:7880"),
        livekit_api_key=environ.get("LIVEKIT_API_KEY", "devkey"),
        livekit_api_secret=environ.get("LIVEKIT_API_SECRET", "secret"),
        port=port,
    )

    def ready(url: str) -> None:
        say(f"the dev API answers at {url}; give a host these:")
        say(f"  export API_BASE_URL={url}")
        say(f"  export AGENT_JWT_TOKEN={settings.mint_agent_jwt('loqua-host-dev')}")
        say(f"  export SHARED_SECRET={shared_secret}")

    await serve(settings, ready=ready)
