"""Bulkhead, rate limit, and the pauses that the API asks for."""

import asyncio
import math
import time
from email.utils import formatdate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.core.conftest import EPOCH, VirtualClock

from loqua_host.core.limits import RateLimits
from loqua_host.core.rate_headers import CAUTION, http_date, server_time, wait_asked
from loqua_host.core.settings import CoreSettings
from loqua_host.errors import SuspendedError

NEVER = "Fri, 31 Dec 9999 23:59:59 GMT"
LONG_AGO = "Thu, 01 Jan 1970 00:00:00 GMT"


def limits(**settings: object) -> RateLimits:
    """Return limits on virtual time."""
    return RateLimits(
        CoreSettings.model_validate({"api_base_url": "http://loqua.test", **settings}),
        VirtualClock(),
    )


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"retry-after": "7"}, 7),
        (503, {"retry-after": " 7 "}, 7),
        (429, {"retry-after": formatdate(EPOCH + 9, usegmt=True)}, 9),
        (429, {"retry-after": formatdate(EPOCH - 9, usegmt=True)}, 0),
        (
            429,
            {
                "retry-after": formatdate(EPOCH + 9, usegmt=True),
                "date": formatdate(EPOCH + 5, usegmt=True),
            },
            4,
        ),
        (200, {"retry-after": "7"}, None),
        (429, {}, None),
        (429, {"retry-after": "7.5"}, 7.5),
        (429, {"retry-after": "1e9"}, 1e9),
        (429, {"retry-after": "9" * 400}, math.inf),
        (429, {"retry-after": "\t0 "}, 0),
        (429, {"retry-after": "2m30s"}, 150),
        (429, {"retry-after": "5, 60, 10"}, 60),
        (500, {"retry-after": "7"}, 7),
        (429, {"retry-after": "Fri, 15 Jan 2027 08:00:09"}, 9),
        (429, {"retry-after": "Fri, 15 Jan 2027 08:00:09 -0000"}, 9),
        (429, {"retry-after": "Fri, 15 Jan 2027 09:00:09 +0100"}, 9),
        (429, {"retry-after": "Fri Jan 15 08:00:09 2027"}, 9),
        (429, {"retry-after": "Friday, 15-Jan-27 08:00:09 GMT"}, 9),
        (429, {"retry-after": "2027-01-15T08:00:09Z"}, 9),
        (429, {"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        (429, {"retry-after": formatdate(EPOCH + 9, usegmt=True), "date": NEVER}, 9),
        (429, {"retry-after": formatdate(EPOCH + 9, usegmt=True), "date": LONG_AGO}, 9),
        (200, {"ratelimit-remaining": "0", "ratelimit-reset": "30"}, 30),
        (200, {"ratelimit-remaining": "1", "ratelimit-reset": "30"}, None),
        (200, {"ratelimit-remaining": "0"}, None),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}, 30),
        (200, {"x-rate-limit-remaining": "0", "x-rate-limit-reset": "30.5"}, 30.5),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{EPOCH + 30:.0f}"}, 30),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{EPOCH + 30:.0f}000"}, 30),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{EPOCH - 30:.0f}"}, 0),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2027-01-15T08:00:30"}, 30),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset-after": "1.5"}, 1.5),
        (200, {"x-ratelimit-remaining": "-1", "x-ratelimit-reset": "30"}, None),
        (429, {"x-ratelimit-remaining": "-1", "x-ratelimit-reset": "30"}, 30),
        (429, {"x-ratelimit-reset": "30"}, 30),
        (
            200,
            {
                "x-ratelimit-remaining-minute": "0",
                "x-ratelimit-reset-minute": "30",
                "x-ratelimit-remaining-day": "5",
                "x-ratelimit-reset-day": "5000",
            },
            30,
        ),
        (200, {"ratelimit-remaining": "0, 5", "ratelimit-reset": "30, 5000"}, 30),
        (200, {"ratelimit-remaining": "5, 0", "ratelimit-reset": "30"}, 30),
        (200, {"ratelimit": '"default";r=0;t=30, "daily";r=10;t=5000'}, 30),
        (200, {"ratelimit": '"default";r=0;t=30, "daily";r=0;t=5000'}, 5000),
        (200, {"ratelimit": '"a;r=0,";r=9;t=30 , "b" ; t=7 ; r=0;pk=:cHI=:'}, 7),
        (200, {"ratelimit": '"default";r=0;t=30'}, 30),
        (200, {"ratelimit": '"default";r=10;t=30'}, None),
        (200, {"ratelimit": "limit=100, remaining=0, reset=30"}, 30),
        (200, {"ratelimit": "limit=100, remaining=20, reset=30"}, None),
        (429, {"ratelimit-remaining": "0", "ratelimit-reset": "30", "retry-after": "5"}, 5),
    ],
)
def test_a_pause_is_understood_in_every_form(
    status: int, headers: dict[str, str], seconds: float | None
) -> None:
    """Seconds and date; single fields and the combined one."""
    assert wait_asked(status, headers, EPOCH) == seconds


headers = st.dictionaries(
    st.sampled_from(
        [
            "retry-after",
            "date",
            "ratelimit",
            "ratelimit-remaining",
            "ratelimit-reset",
            "x-rate-limit-remaining",
            "x-rate-limit-reset",
        ]
    ),
    st.text(max_size=40)
    | st.floats().map(str)
    | st.from_regex(r'("d";)?(r|remaining)=\d+[;, ](t|reset)=\d+')
    | st.integers().map(str)
    | st.datetimes().map(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S GMT")),
)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (429, {"retry-after": "soon"}),
        (503, {"retry-after": ""}),
        (429, {"retry-after": "-7"}),
        (429, {"retry-after": "NaN"}),
        (429, {"retry-after": "Fri, 31 Dec 99999 23:59:59 GMT"}),
        (200, {"ratelimit-remaining": "0", "ratelimit-reset": "soon"}),
        (200, {"ratelimit": '"default";r=0;t=soon'}),
        (429, {"x-ratelimit-remaining": "none", "x-ratelimit-reset": "soon"}),
    ],
)
def test_a_pause_that_cannot_be_read_is_a_pause(status: int, headers: dict[str, str]) -> None:
    """An API that asks for an unreadable pause does not want calls at once."""
    assert wait_asked(status, headers, EPOCH) == CAUTION


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"])
@pytest.mark.parametrize(
    "date",
    [
        "Fri, 15 Jan 2027 08:00:00 GMT",
        "Fri, 15 Jan 2027 08:00:00",
        "Fri, 15 Jan 2027 08:00:00 -0000",
        "Friday, 15-Jan-27 08:00:00 GMT",
        "Fri Jan 15 08:00:00 2027",
    ],
)
def test_a_date_without_a_zone_is_gmt_wherever_the_host_runs(
    date: str, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 9110 knows no other."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert http_date(date) == EPOCH
        assert wait_asked(429, {"retry-after": date}, EPOCH - 5) == 5
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("date", "moment"),
    [
        (formatdate(EPOCH - 86_400, usegmt=True), EPOCH - 86_400),
        (formatdate(EPOCH + 7200, usegmt=True), EPOCH + 7200),
        (LONG_AGO, EPOCH),
        (NEVER, EPOCH),
        ("soon", EPOCH),
        (None, EPOCH),
    ],
)
def test_an_absurd_date_is_not_the_servers_time(date: str | None, moment: float) -> None:
    """A clock may be wrong by hours; one that is decades off tells nothing."""
    assert server_time(date, EPOCH) == moment


@given(status=st.sampled_from([200, 429, 503]), headers=headers)
@example(status=429, headers={"retry-after": "Mon, 00 Jan 0000 99:99:99 GMT"})
@example(status=429, headers={"retry-after": "0" * 5000})
def test_no_header_whatever_does_harm(status: int, headers: dict[str, str]) -> None:
    """Fuzzed: a pause is a number of seconds that is not negative, or none."""
    asked = wait_asked(status, headers, EPOCH)
    assert asked is None or asked >= 0


@given(st.text())
@example("Tue, 15 Nov 1994 08:12:31 +9999999999")
@example(", 1 Jan")
@example("0 0 0 0")
def test_no_text_whatever_breaks_the_reading_of_a_date(text: str) -> None:
    """Fuzzed: a date is seconds since 1970, or none."""
    assert http_date(text) is None or isinstance(http_date(text), float)


async def test_one_answer_holds_every_lesson() -> None:
    """All calls wait until the pause is over, and not longer."""
    shared = limits()
    assert shared.handle("context", 429, {"retry-after": "3"}) == 3
    starts: list[float] = []

    async def call() -> None:
        async with shared.slot("context", deadline=10):
            starts.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(call() for _ in range(5)))
    assert starts == [3.0] * 5


async def test_a_429_without_a_word_holds_the_calls_of_its_endpoint_only() -> None:
    """Longer with each that follows, within bounds; another answer ends it."""
    shared = limits(pool_size=99)

    async def call(endpoint: str, status: int | None = None) -> float:
        async with shared.slot(endpoint, deadline=math.inf):
            at = asyncio.get_running_loop().time()
            if status:
                await asyncio.sleep(0.1)
                shared.handle(endpoint, status, {})
            return at

    await asyncio.gather(*(call("context", 429) for _ in range(20)))  # twenty make one pause
    at = asyncio.get_running_loop().time()
    assert await call("progress") == at
    waits = []
    for _ in range(8):
        before = asyncio.get_running_loop().time()
        waits.append(await call("context", 429) - before)
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 32, 32])
    await call("context", 200)
    at = asyncio.get_running_loop().time()
    assert await call("context", 429) == at
    assert await call("context") == pytest.approx(at + 1.1)


async def test_a_pause_beyond_the_deadline_fails_the_call_at_once() -> None:
    """The error contains the length of the pause."""
    shared = limits()
    shared.handle("context", 429, {"retry-after": "30"})
    with pytest.raises(SuspendedError) as suspended:
        async with shared.slot("context", deadline=30):
            pytest.fail("a call got out")
    assert suspended.value.retry_after == 30
    assert suspended.value.sent is False
    assert suspended.value.endpoint == "context"
    assert asyncio.get_running_loop().time() == 0


async def test_a_pause_is_never_longer_than_the_operator_allows() -> None:
    """`api.max_hold` caps what a mad header could do."""
    shared = limits(max_hold=60)
    assert shared.handle("context", 429, {"retry-after": "999999999"}) == 60


async def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """The latest end stands."""
    shared = limits()
    shared.handle("context", 429, {"retry-after": "5"})
    shared.handle("context", 429, {"retry-after": "1"})
    async with shared.slot("context", deadline=10):
        assert asyncio.get_running_loop().time() == 5


async def test_those_who_waited_for_a_slot_observe_a_pause_requested_meanwhile() -> None:
    """A 429 stops also the calls that had passed the door already."""
    shared = limits(pool_size=1)
    starts: list[float] = []

    async def call(seconds: float, retry_after: str | None) -> None:
        async with shared.slot("context", deadline=20):
            starts.append(asyncio.get_running_loop().time())
            await asyncio.sleep(seconds)
            if retry_after:
                shared.handle("context", 429, {"retry-after": retry_after})

    await asyncio.gather(call(1, "4"), call(0, None))
    assert starts == [0, 5]


async def test_no_more_calls_are_out_than_the_pool_has_connections() -> None:
    """The pool behind never has a waiter."""
    shared = limits(pool_size=3)
    out = most = 0

    async def call() -> None:
        nonlocal out, most
        async with shared.slot("context", deadline=10):
            out += 1
            most = max(most, out)
            await asyncio.sleep(1)
            out -= 1

    await asyncio.gather(*(call() for _ in range(9)))
    assert most == 3
    assert asyncio.get_running_loop().time() == 3


async def test_cancelled_waiters_leak_no_slot() -> None:
    """Callers may be cancelled in the queue or during their call."""
    shared = limits(pool_size=2)

    async def call() -> None:
        async with shared.slot("context", deadline=100):
            await asyncio.sleep(1)

    for _ in range(20):
        calls = [asyncio.create_task(call()) for _ in range(6)]
        await asyncio.sleep(0.5)
        for task in calls:
            task.cancel()
        await asyncio.wait(calls)
    before = asyncio.get_running_loop().time()
    await asyncio.gather(call(), call())
    assert asyncio.get_running_loop().time() == before + 1


async def test_calls_are_spread_over_time() -> None:
    """A burst of one second's worth gets out; the rest follows at the rate."""
    shared = limits(rate_limit=10)
    starts: list[float] = []

    async def call() -> None:
        async with shared.slot("context", deadline=100):
            starts.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(call() for _ in range(30)))
    assert starts[:10] == [0.0] * 10
    assert starts[10:] == pytest.approx([turn / 10 for turn in range(1, 21)])


async def test_a_second_of_quiet_allows_a_burst_again() -> None:
    """And no more than one second's worth, however long it was quiet."""
    shared = limits(rate_limit=10)
    await asyncio.sleep(60)
    starts: list[float] = []
    for _ in range(12):
        async with shared.slot("context", deadline=100):
            starts.append(asyncio.get_running_loop().time())
    assert starts[9:] == pytest.approx([60, 60.1, 60.2])


async def test_who_would_wait_too_long_for_a_turn_takes_none() -> None:
    """A crowd beyond the deadline fails at once and does not delay those who come later."""
    shared = limits(rate_limit=1)

    async def call(deadline: float) -> None:
        async with shared.slot("context", deadline):
            pass

    crowd = await asyncio.gather(*(call(3) for _ in range(100)), return_exceptions=True)
    assert sum(isinstance(result, SuspendedError) for result in crowd) == 97
    assert asyncio.get_running_loop().time() == 2
    await call(deadline=4)
    assert asyncio.get_running_loop().time() == 3
