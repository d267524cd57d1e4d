"""`loqua-host timeline`: the lessons of a room, turn by turn, in development."""

from collections.abc import Callable, Mapping
from pathlib import Path

from livekit import rtc

from loqua_host.dev.timeline import watch_timeline
from loqua_host.errors import ConfigError, Problem, RoomsError
from loqua_host.livekit_internals import silence_native_log
from loqua_host.settings.load import load_settings
from loqua_host.settings.secrets import WantedSecrets, read_secrets

__all__ = ["follow_room"]


async def follow_room(
    config: Path, environ: Mapping[str, str], room: str, *, say: Callable[[str], None]
) -> None:
    """Print what happens in the lessons of a room until it is closed.

    Raises:
        ConfigError: If the configuration is invalid, or does not let lessons be watched.
        RoomsError: If LiveKit is out of reach.
    """
    settings = load_settings(config, environ)
    if not settings.lessons.timeline:
        hint = "write true, in development only, and start a new lesson"
        raise ConfigError([Problem(f"{config / 'host.yaml'}: lessons.timeline", "is false", hint)])
    secrets = read_secrets(config, environ, WantedSecrets.by(settings))
    silence_native_log()
    try:
        await watch_timeline(settings.livekit.url, secrets.livekit(), room, say)
    except rtc.ConnectError as error:
        raise RoomsError(f"{settings.livekit.url}: {error}; see `check --live`") from None
