"""The sections `sandbox:` and `limits:` of a tutor's file, and the ports of its lessons."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, JsonValue

from loqua_host.system.addresses import PORTS

from .engines import Engines
from .section import Section

__all__ = ["SandboxSettings", "TutorLimits", "TutorSandbox", "needed_ports"]

LIVEKIT_PORTS: Final = (5349, 7881)
"""LiveKit's default ports for media over TCP: TURN/TLS and ICE/TCP
(https://docs.livekit.io/home/self-hosting/ports-firewall/)."""

DNS: Final = 53
"""Long answers come over TCP."""

HTTPS: Final = 443

Port = Annotated[int, Field(ge=1, le=65_535)]


class SandboxSettings(Section):
    """The section `sandbox:` of config/host.yaml."""

    required: bool = Field(
        default=False,
        description="true to refuse the start where a part of the sandbox is missing, or false to "
        "warn",
    )


class TutorSandbox(Section):
    """Additional rights of the tutor's processes."""

    network: Literal["any"] | tuple[Port, ...] = Field(
        default=(),
        description="TCP ports that it may connect to, beside those of its addresses, such as "
        "[443]; or any",
    )
    processes: bool = Field(
        default=False, description="true to let it start programs, such as MCP servers, or false"
    )
    writable: tuple[Path, ...] = Field(
        default=(), description="directories that it may write to, beside its temporary one"
    )

    @property
    def ports(self) -> tuple[int, ...] | None:
        """The ports of `network`, None for any."""
        return None if self.network == "any" else self.network


class TutorLimits(Section):
    """The resource limits of one lesson of the tutor."""

    memory: int = Field(
        default=2000,
        ge=1000,
        le=1_000_000,
        description="the maximum of a lesson's memory in megabytes, 1000 or more",
    )
    cpu: float = Field(
        default=0.8,
        gt=0,
        le=1000,
        description="the maximum of CPUs that a lesson uses on average, such as 0.8",
    )
    log: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="the maximum that a lesson logs in a minute in kilobytes, 1 or more",
    )
    max_duration: float | None = Field(
        default=None,
        gt=0,
        le=86_400,
        description="the maximum duration of a lesson in seconds, or null; lessons.max_duration "
        "applies if it is shorter",
    )


def needed_ports(
    settings: dict[str, JsonValue], engines: Engines, addresses: Iterable[str]
) -> tuple[int, ...]:
    """Return the TCP ports that a tutor's lessons connect to.

    Args:
        settings: The tutor's own settings; an address in them is meant to be reached.
        engines: Its engines. One with a secret and without an address is a hosted one.
        addresses: The addresses of LiveKit and of proxies.
    """
    ports = {DNS, *LIVEKIT_PORTS, *_ports(list(addresses)), *_ports(settings)}
    for engine in engines.all():
        own = set(_ports(engine.options))
        ports |= own or ({HTTPS} if engine.secrets else set())
    return tuple(sorted(ports))


def _ports(written: JsonValue) -> Iterator[int]:
    """Yield the ports of all addresses in a value."""
    match written:
        case str():
            yield from _port(written)
        case list():
            for one in written:
                yield from _ports(one)
        case dict():
            for one in written.values():
                yield from _ports(one)


def _port(text: str) -> Iterator[int]:
    try:
        parts = urlsplit(text)
        if parts.scheme in PORTS and parts.hostname:
            yield parts.port or PORTS[parts.scheme]
    except ValueError:
        return
