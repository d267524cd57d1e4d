"""Odd answers of real services and gateways, from an API on a real socket."""

import time

import pytest
from aiohttp import web
from tests.integration.core.conftest import Backend, Opener

from loqua_host.contract.records import Mode, Performance, Progress, SessionRecord
from loqua_host.core import Caller, LoquaApi
from loqua_host.errors import UnreachableError

LEO, MIA = Caller("leo", "room-1", "agent"), Caller("mia", "room-2", "agent")
SESSION_ID = "{урок 5} 👩‍🏫/../x"
RECORD = SessionRecord(
    session_id=SESSION_ID, duration_minutes=1, overall_performance=Performance.GOOD
)
ODD = (
    rb"""{"user_id": "leo", "display_name": "Leo \ud83d", "score": NaN, "x": -Infinity,
"preferences": {"language_learning": "spanish", "focus_areas": ["viajes \ud83d", null, "food"]},
"progress": {"achievements_unlocked": ["a", null], "last_session_date": null,
             "words_learned": 1e400},
"session_history": [null, {"topics_covered": null, "session_id":
    "{\u0443\u0440\u043e\u043a 5} \ud83d\udc69\u200d\ud83c\udfeb/../x"}], "deep": """
    + b"[" * 5000
    + b"]" * 5000
    + b"}"
)


class OddBackend(Backend):
    """An API that answers one learner's context oddly or not at all, and asks for pauses."""

    broken = False
    pauses: tuple[tuple[str, str], ...] = ()

    async def context(self, request: web.Request) -> web.Response:
        """Return a learner's context."""
        self.taken.setdefault("context", []).append(time.monotonic())
        if request.match_info["user_id"] != "leo":
            return await super().context(request)
        if self.broken:
            return web.Response(body=b'{"user_id": "leo", ', content_type="application/json")
        return web.Response(body=b"\xef\xbb\xbf" + ODD, content_type="application/json")

    async def post(self, request: web.Request) -> web.Response:
        """Take a POST; progress meets a pause, once."""
        if request.path.endswith("/progress") and self.pauses:
            answer = web.Response(status=429)
            for name, value in self.pauses:
                answer.headers.add(name, value)
            self.pauses = ()
            return answer
        return await super().post(request)


@pytest.fixture
async def odd() -> OddBackend:
    """Return the API's side of the wire."""
    return OddBackend()


@pytest.fixture
async def backend(odd: OddBackend) -> Backend:
    """Serve it."""
    return odd


async def progress(api: LoquaApi, caller: Caller) -> None:
    """Make a call that may be repeated."""
    await api.send_progress(
        caller, session_id=SESSION_ID, status="in_progress", progress=Progress(), key="k"
    )


async def test_odd_json_costs_what_is_odd_only(
    open_api: Opener, backend_port: int, odd: OddBackend
) -> None:
    """The context is loaded, the session is found in it, and its id went out unchanged."""
    async with open_api(backend_port) as api:
        await api.lease(LEO)
        loaded = await api.context(LEO)
        assert loaded.mode is api.mode(LEO) is Mode.FULL
        assert loaded.context.preferences.focus_areas == ("food",)
        assert loaded.context.progress.achievements_unlocked == ("a",)
        assert await api.session_known(LEO, SESSION_ID)
        await api.create_session(LEO, RECORD, key="k")
    assert odd.taken["sessions"][0]["sessionId"] == SESSION_ID


async def test_a_context_that_cannot_be_read_is_not_full_until_it_can(
    open_api: Opener, backend_port: int, odd: OddBackend
) -> None:
    """Other successful calls do not change that."""
    odd.broken = True
    async with open_api(backend_port, retries=0) as api:
        await api.lease(LEO)
        assert (await api.context(LEO)).mode is Mode.BASIC
        await progress(api, LEO)
        assert api.mode(LEO) is Mode.BASIC
        odd.broken = False
        assert (await api.context(LEO)).mode is api.mode(LEO) is Mode.FULL


@pytest.mark.parametrize(
    ("pauses", "all_held"),
    [
        ((("Retry-After", "1.5"),), True),
        ((("RateLimit", '"a";r=0;t=1'), ("RateLimit", '"b";r=0;t=2')), True),
        ((("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1")), True),
        ((), False),
    ],
)
async def test_a_429_holds_others(
    open_api: Opener,
    backend_port: int,
    odd: OddBackend,
    pauses: tuple[tuple[str, str], ...],
    all_held: bool,
) -> None:
    """All where a header names the pause, else the calls of its endpoint."""
    async with open_api(backend_port, retries=0) as api:
        await api.lease(LEO)
        await api.lease(MIA)
        odd.pauses = pauses or (("X-Nothing", "1"),)
        with pytest.raises(UnreachableError):
            await progress(api, LEO)
        began = time.monotonic()
        await api.context(MIA)
        assert (odd.taken["context"][0] - began > 0.8) is all_held
        await progress(api, MIA)
        assert time.monotonic() - began > 0.8
