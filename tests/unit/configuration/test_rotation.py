"""The host's reaction to rotated keys."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs
from tests.unit.lessons.host_under_test import WRITTEN, make_services

from loqua_host.configuration.rotation import Rotation
from loqua_host.core.secrets import SecretsSettings
from loqua_host.errors import RoomsError
from loqua_host.lessons.services import Services
from loqua_host.settings.host import HostSettings
from loqua_host.settings.secrets import HostSecrets, LiveKitKey, WantedSecrets, read_secrets
from loqua_host.system.tasks import background
from loqua_host.workers.supervisor import Supervisor

GIVEN = {
    "AGENT_JWT_TOKEN": "header.payload.signature",
    "SHARED_SECRET": "shared-secret-of-the-api-team-0001",
    "LIVEKIT_API_KEY": "old",
    "LIVEKIT_API_SECRET": "livekit-secret-of-thirty-two-bytes",
    "LEDGER_KEY": "ledger-" * 6,
}


@dataclass
class KeyHolders:
    """The holders of keys, and the keys that they received."""

    secrets: HostSecrets
    directory: Path
    key: LiveKitKey
    taken: tuple[str, ...] = ("old", "new")
    calls: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    async def put(self, **values: str) -> None:
        """Rotate secrets, and have the host see it."""
        for name, value in values.items():
            (self.directory / name).write_text(value)
            await self.secrets.cache.read(name, fresh=True)

    async def use_key(self, key: LiveKitKey) -> None:
        """Use LiveKit's key if LiveKit takes it, as rooms do."""
        if key.key.get_secret_value() not in self.taken:
            raise RoomsError("LiveKit's rooms API refused: unauthenticated")
        self.key = key

    def use_keys(self, keys: list[str]) -> bool:
        """Encrypt with the first of the ledger's keys."""
        changed = self.keys[:1] != keys[:1]
        self.keys = keys
        return changed

    def services(self, tasks: asyncio.TaskGroup) -> Services:
        """Return the services whose keys are rotated."""
        settings = HostSettings.model_validate(WRITTEN | {"secrets": {"interval": 60}})
        return make_services(
            rooms=self, ledger=self, tasks=tasks, clock=self, settings=lambda: settings
        )

    def monotonic(self) -> float:
        """Return no time."""
        return 0.0

    def now(self) -> float:
        """Return no time."""
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Note a pause."""
        self.calls.append(f"pause of {seconds:g} s")

    async def reencrypt(self) -> None:
        """Encrypt again what is there."""
        self.calls.append("reencrypt")


@dataclass
class Workers:
    """A supervisor that counts the keys it was given."""

    keys: list[str] = field(default_factory=list)

    def use_key(self, key: LiveKitKey) -> None:
        """Register with it from now on."""
        self.keys.append(key.key.get_secret_value())


@pytest.fixture
def parts(tmp_path: Path) -> KeyHolders:
    """Return a host's parts, with secrets in files."""
    secrets, config = tmp_path / "secrets", tmp_path / "config"
    secrets.mkdir()
    for name, value in GIVEN.items():
        (secrets / name).write_text(value)
    place = SecretsSettings.model_validate({"from": "files", "files": {"directory": secrets}})
    read = read_secrets(config, {}, WantedSecrets(place))
    return KeyHolders(read, secrets, read.livekit(), keys=read.ledger.open_keys())


async def follow(rotation: Rotation) -> list[str]:
    """Follow all keys; return what was logged."""
    with capture_logs() as logs:
        await rotation.follow()
    return [line["event"] for line in logs]


async def test_a_key_that_livekit_refuses_is_reported_until_it_is_taken_or_withdrawn(
    parts: KeyHolders,
) -> None:
    """Meanwhile everybody uses the one before."""
    workers = Workers()
    async with background() as tasks:
        rotation = Rotation(parts.secrets, parts.services(tasks), cast("Supervisor", workers))
        assert await follow(rotation) == []
        await parts.put(LIVEKIT_API_KEY="strange")
        assert await follow(rotation) == await follow(rotation) == ["livekit.key_refused"]
        assert (workers.keys, rotation.refused_key is None) == ([], False)
        await parts.put(LIVEKIT_API_KEY="old")
        assert await follow(rotation) == ["livekit.key_withdrawn"]
        assert rotation.refused_key is None
        assert await follow(rotation) == []
        await parts.put(LIVEKIT_API_KEY="strange")
        assert await follow(rotation) == ["livekit.key_refused"]
        await parts.put(LIVEKIT_API_KEY="new")
        assert await follow(rotation) == ["livekit.key_changed"]
        assert rotation.refused_key is None
        assert await follow(rotation) == []
    assert workers.keys == ["new"]


async def test_a_new_key_of_the_ledger_seals_at_once_and_the_rest_behind_the_lessons(
    parts: KeyHolders,
) -> None:
    """Once for each key, and when all hosts have seen it; the look-ups go on meanwhile."""
    async with asyncio.TaskGroup() as tasks:
        rotation = Rotation(parts.secrets, parts.services(tasks), cast("Supervisor", Workers()))
        await parts.put(LEDGER_KEY="another-" * 4)
        assert await follow(rotation) == ["ledger.key_changed"]
        assert await follow(rotation) == []
    assert parts.keys == ["another-" * 4, GIVEN["LEDGER_KEY"]]
    assert parts.calls == ["pause of 120 s", "reencrypt"]
