"""Network faults: their effects on the learner, and the requests that reach the API.

The core runs on real sockets here; between it and the API stands a proxy that spoils them.
"""

import asyncio
import random
import socket
import ssl

import pytest
from tests.integration.core.conftest import Backend, FaultProxy, Opener

from loqua_host.contract.records import Mode, Performance, Progress, SessionRecord
from loqua_host.core import Caller, LoquaApi
from loqua_host.errors import UnreachableError

CALLER = Caller("user-1", "room-1", "agent-1")
RECORD = SessionRecord(session_id="s-1", duration_minutes=5, overall_performance=Performance.GOOD)

NOTHING = "nothing"
TAKEN_TWICE = 2

TABLE = [
    # A fault of one answer  the learner notices  copies of progress, copies of the record
    ("none", NOTHING, 1, 1),
    ("reset before", NOTHING, 1, 1),
    ("reset after", NOTHING, TAKEN_TWICE, 1),
    ("truncate", NOTHING, TAKEN_TWICE, 1),
    ("delay", NOTHING, TAKEN_TWICE, 1),
    ("drip", NOTHING, TAKEN_TWICE, 1),
    ("garbage", NOTHING, 1, 1),
    ("html", NOTHING, 1, 1),
    ("busy", NOTHING, 1, 1),
    ("broken", NOTHING, 1, 1),
    ("not there", NOTHING, 1, 1),
    ("blocked", NOTHING, 1, 1),
    ("unauthorized", NOTHING, 1, 1),
]
"""Progress is cumulative: taken twice it says the same. A record is taken once."""

SLOW = {"delay", "drip"}
SOON_GIVEN_UP = {"attempt_timeout": 2, "connect_timeout": 2}
"""Long for an answer of this machine: only an answer that is held back is taken for none."""

OUTAGES = [fault for fault, *_ in TABLE if fault not in ("none", "reset after")]


async def progress(api: LoquaApi) -> None:
    """Send the learner's progress."""
    await api.send_progress(
        CALLER, session_id="s-1", status="in_progress", progress=Progress(), key="p-1"
    )


async def deliver(api: LoquaApi) -> None:
    """Deliver the record as the host does: in doubt, the history is asked first."""
    while True:
        try:
            return await api.create_session(CALLER, RECORD, key="r-1")
        except UnreachableError as error:
            if error.sent and await api.session_known(CALLER, RECORD.session_id):
                return None


@pytest.mark.parametrize(("fault", "noticed", "progress_copies", "record_copies"), TABLE)
async def test_one_spoilt_answer(
    open_api: Opener,
    backend: Backend,
    proxy: FaultProxy,
    proxy_port: int,
    fault: str,
    noticed: str,
    progress_copies: int,
    record_copies: int,
) -> None:
    """It is repeated away: the mode stays full, progress arrives, the record arrives once."""
    async with open_api(proxy_port, **(SOON_GIVEN_UP if fault in SLOW else {})) as api:
        proxy.faults.append(fault)
        await api.lease(CALLER)
        proxy.faults.append(fault)
        assert (await api.context(CALLER)).mode is Mode.FULL
        proxy.faults.append(fault)
        await progress(api)
        proxy.faults.append(fault)
        await deliver(api)
        assert noticed == NOTHING
        assert api.mode(CALLER) is Mode.FULL
    # Where answers are soon given up, a machine that stalls has one more taken for none.
    assert backend.copies("progress") in {progress_copies, progress_copies + (fault in SLOW)}
    assert backend.copies("sessions") == record_copies


@pytest.mark.parametrize("fault", OUTAGES)
async def test_a_lasting_outage(
    open_api: Opener, backend: Backend, proxy: FaultProxy, proxy_port: int, fault: str
) -> None:
    """The learner goes on with what is known; afterwards the record arrives, once."""
    breaker = {"failures": 3, "open_seconds": 0.5}
    async with open_api(proxy_port, **SOON_GIVEN_UP, deadline=7, breaker=breaker) as api:
        await api.lease(CALLER)
        await api.context(CALLER)
        proxy.always = fault
        with pytest.raises(UnreachableError):
            await progress(api)
        assert api.mode(CALLER) is Mode.CACHE
        assert (await api.context(CALLER)).mode is Mode.CACHE
        with pytest.raises(UnreachableError) as lost:
            await api.create_session(CALLER, RECORD, key="r-1")
        proxy.always = None
        await asyncio.sleep(1.1)
        if not (lost.value.sent and await api.session_known(CALLER, RECORD.session_id)):
            await deliver(api)
        await progress(api)
        assert api.mode(CALLER) is Mode.FULL
    assert backend.copies("sessions") == 1


async def test_nobody_listening(open_api: Opener) -> None:
    """The lesson begins in mock mode, without an error for the learner."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with open_api(unused.getsockname()[1]) as api:
            with pytest.raises(UnreachableError) as unreachable:
                await api.lease(CALLER)
            assert unreachable.value.sent is False
            assert (await api.context(CALLER)).mode is Mode.MOCK


async def test_cancelled_calls_leave_a_pool_that_works(
    open_api: Opener, proxy: FaultProxy, proxy_port: int
) -> None:
    """Learners who leave under load leak no connection (httpcore's known trap)."""
    async with open_api(proxy_port, pool_size=3, rate_limit=10_000) as api:
        await api.lease(CALLER)
        proxy.always = "delay"
        for _ in range(10):
            calls = [asyncio.create_task(progress(api)) for _ in range(12)]
            await asyncio.sleep(0.02)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
        proxy.always = None
        async with asyncio.timeout(30):
            await asyncio.gather(*(progress(api) for _ in range(30)))
        assert api.mode(CALLER) is Mode.FULL


async def test_new_connections_do_not_read_the_authorities_again(
    open_api: Opener, proxy: FaultProxy, proxy_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes 30 ms, in which a host does nothing else: under a storm of timeouts, for good."""
    async with open_api(proxy_port) as api:
        await api.lease(CALLER)
        monkeypatch.delattr(ssl, "create_default_context")
        proxy.always = "delay"
        call = asyncio.create_task(progress(api))
        await asyncio.wait({call}, timeout=0.5)
        call.cancel()
        await asyncio.wait({call})
        assert call.cancelled()


async def test_a_storm_of_faults_loses_and_doubles_nothing(
    open_api: Opener, backend: Backend, proxy: FaultProxy, proxy_port: int
) -> None:
    """Twenty lessons' records through a network that spoils every second answer."""
    storm = random.Random(7)  # noqa: S311  (a storm that repeats)
    faults = ["reset before", "reset after", "truncate", "garbage", "html", "broken"]
    proxy.faults.extend(storm.choice([*faults, *["none"] * 6]) for _ in range(1000))
    settings = {"breaker": {"failures": 1000}, "rate_limit": 10_000}

    async def lesson(api: LoquaApi, number: int) -> None:
        caller = Caller(f"user-{number}", f"room-{number}", "agent-1")
        record = RECORD.model_copy(update={"session_id": f"s-{number}"})
        while True:
            try:
                return await api.create_session(caller, record, key=record.session_id)
            except UnreachableError as error:
                while error.sent:
                    try:
                        if await api.session_known(caller, record.session_id):
                            return None
                        break
                    except UnreachableError:
                        continue

    async with open_api(proxy_port, **settings) as api:
        await asyncio.gather(*(lesson(api, number) for number in range(20)))
    arrived = sorted(record["sessionId"] for record in backend.taken["sessions"])
    assert arrived == sorted(f"s-{number}" for number in range(20))
