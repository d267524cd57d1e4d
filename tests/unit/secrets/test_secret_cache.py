"""The cache of secrets: refreshes, rotations and outages of the source."""

import asyncio
import threading
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from loqua_host.core.clock import SystemClock
from loqua_host.core.secrets import CoreSecret, Sealed, Secret, SecretCache
from loqua_host.errors import SecretsError

JWT, SHARED = CoreSecret.AGENT_JWT_TOKEN, CoreSecret.SHARED_SECRET


@dataclass
class FakeSource:
    """A source whose secrets a test changes."""

    place: str = "the test"
    secrets: dict[str, Secret] = field(default_factory=dict)
    fault: Exception | None = None
    fetched: list[str] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)
    answer: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Answer at once."""
        self.answer.set()

    def fetch(self, variable: str) -> Secret | None:
        """Return what the test has put here."""
        self.fetched.append(variable)
        found = self.secrets.get(variable)
        self.asked.set()
        assert self.answer.wait(5)
        if self.fault:
            raise self.fault
        return found


@dataclass
class Pauses(SystemClock):
    """A clock whose sleeps end when a test says so."""

    slept: list[float] = field(default_factory=list)
    slept_twice: asyncio.Event = field(default_factory=asyncio.Event)
    ends: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def sleep(self, seconds: float) -> None:
        """Wait for the test."""
        self.slept.append(seconds)
        if len(self.slept) == 2:
            self.slept_twice.set()
        await self.ends.acquire()


def secret(*values: str) -> Secret:
    """Return a secret of these values, newest first."""
    return Secret(*(Sealed(value) for value in values))


def cache_of(place: FakeSource, clock: SystemClock | None = None) -> SecretCache:
    """Keep what is in a place."""
    variables = {JWT: "AGENT_JWT_TOKEN", SHARED: "PROD_AGENT_SECRET"}
    first = {JWT: secret("a.first.jwt"), SHARED: secret("one")}
    place.secrets |= {variables[name]: first[name] for name in first}
    return SecretCache(place, variables, first, clock or SystemClock(), 60)


async def values(secrets: SecretCache, name: CoreSecret = SHARED, *, fresh: bool) -> list[str]:
    """Return a secret's values."""
    read = await secrets.read(name, fresh=fresh)
    return [value.get_secret_value() for value in read.values()]


async def test_reading_asks_nobody() -> None:
    """The cached value serves every exchange."""
    place = FakeSource()
    secrets = cache_of(place)
    place.secrets["PROD_AGENT_SECRET"] = secret("two")
    assert await values(secrets, fresh=False) == ["one"]
    assert place.fetched == []


async def test_a_fresh_reading_follows_a_change_and_keeps_the_old_value() -> None:
    """Until the change after it."""
    place = FakeSource()
    secrets = cache_of(place)
    for value, seen in (("two", ["two", "one"]), ("two", ["two", "one"]), ("3", ["3", "two"])):
        place.secrets["PROD_AGENT_SECRET"] = secret(value)
        assert await values(secrets, fresh=True) == seen
        assert await values(secrets, fresh=False) == seen


async def test_the_sources_own_previous_value_counts_more() -> None:
    """It knows of changes that this host never saw."""
    place = FakeSource()
    secrets = cache_of(place)
    place.secrets["PROD_AGENT_SECRET"] = secret("three", "two")
    assert await values(secrets, fresh=True) == ["three", "two"]


@pytest.mark.parametrize("gone", [True, False])
async def test_an_outage_keeps_the_last_value_and_is_reported(*, gone: bool) -> None:
    """Also when the secret is not there any more."""
    place = FakeSource()
    secrets = cache_of(place)
    place.secrets.pop("PROD_AGENT_SECRET")
    place.fault = None if gone else SecretsError("no answer")
    with capture_logs() as logs:
        assert await values(secrets, fresh=True) == ["one"]
    [line] = logs
    assert (line["event"], line["log_level"]) == ("secret.refresh_failed", "warning")
    assert line["why"] == ("it is not there any more" if gone else "no answer")


async def test_each_look_up_is_reported_without_a_value() -> None:
    """The first ones too, once somebody listens; an auditor sees which, where and whether new."""
    place, clock = FakeSource(), Pauses()
    secrets = cache_of(place, clock)
    place.secrets["PROD_AGENT_SECRET"] = secret("two")
    with capture_logs() as logs:
        watching = asyncio.create_task(secrets.watch())
        clock.ends.release()
        await clock.slept_twice.wait()
        watching.cancel()
    changed = [(line["event"], line["secret"], line["changed"]) for line in logs]
    assert changed == [
        ("secret.read", "AGENT_JWT_TOKEN", False),
        ("secret.read", "SHARED_SECRET", False),
        ("secret.read", "AGENT_JWT_TOKEN", False),
        ("secret.read", "SHARED_SECRET", True),
    ]
    assert all(line["place"] == "the test" for line in logs)
    assert "a.first.jwt" not in str(logs)
    assert "two" not in str(logs)
    assert clock.slept == [60, 60]


async def test_whoever_follows_hears_once_all_have_been_looked_up() -> None:
    """Related values, such as a key and its secret, change together."""
    place, clock = FakeSource(), Pauses()
    secrets = cache_of(place, clock)
    place.secrets |= {"AGENT_JWT_TOKEN": secret("a.new.jwt"), "PROD_AGENT_SECRET": secret("two")}
    seen: list[tuple[str, str]] = []

    async def follow() -> None:
        both = (secrets.get(name).current.get_secret_value() for name in (JWT, SHARED))
        seen.append((next(both), next(both)))

    watching = asyncio.create_task(secrets.watch(follow))
    clock.ends.release()
    await clock.slept_twice.wait()
    watching.cancel()
    assert seen == [("a.new.jwt", "two")]


async def test_many_that_ask_at_once_share_one_look_up_that_begins_after_they_asked() -> None:
    """A look-up under way may have seen the old value; whoever asks later waits for another."""
    place = FakeSource()
    secrets = cache_of(place)
    place.answer.clear()
    early = asyncio.create_task(values(secrets, fresh=True))
    assert await asyncio.to_thread(place.asked.wait, 5)
    place.secrets["PROD_AGENT_SECRET"] = secret("two")
    late = [asyncio.create_task(values(secrets, fresh=True)) for _ in range(20)]
    await asyncio.sleep(0)
    place.answer.set()
    assert await early == ["one"]
    assert await asyncio.gather(*late) == [["two", "one"]] * 20
    assert len(place.fetched) == 2


@pytest.mark.parametrize(
    "bad", ["changeme", "Bearer a.new.jwt", "\ud83d", "caf\N{LATIN SMALL LETTER E WITH ACUTE}.b.c"]
)
async def test_a_value_that_cannot_be_used_is_not_followed(bad: str) -> None:
    """The last good one stays, with a warning, until there is a good one again."""
    place = FakeSource()
    secrets = cache_of(place)
    place.secrets["AGENT_JWT_TOKEN"] = secret(bad)
    with capture_logs() as logs:
        assert await values(secrets, JWT, fresh=True) == ["a.first.jwt"]
    [line] = logs
    assert (line["event"], line["log_level"]) == ("secret.refresh_failed", "warning")
    assert "AGENT_JWT_TOKEN is not a JWT" in line["why"]
    assert bad not in str(logs)
    place.secrets["AGENT_JWT_TOKEN"] = secret("a.new.jwt")
    assert await values(secrets, JWT, fresh=True) == ["a.new.jwt", "a.first.jwt"]


async def test_whatever_the_source_raises_keeps_the_last_value_and_the_watch() -> None:
    """Clients of vaults raise what they like."""
    place, clock = FakeSource(), Pauses()
    secrets = cache_of(place, clock)
    place.fault = RuntimeError("what nobody foresaw")
    with capture_logs() as logs:
        watching = asyncio.create_task(secrets.watch())
        clock.ends.release()
        await clock.slept_twice.wait()
        watching.cancel()
    missed = [line for line in logs if line["event"] == "secret.refresh_failed"]
    assert [line["why"] for line in missed] == ["the test: RuntimeError"] * 2
    assert await values(secrets, fresh=False) == ["one"]
