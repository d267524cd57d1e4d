"""The client of LiveKit's rooms API, with one named error for all failures."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from livekit.api import TokenVerifier
from livekit.protocol.models import ParticipantInfo, ParticipantPermission
from livekit.protocol.room import ListParticipantsResponse

from loqua_host.core.secrets import Sealed
from loqua_host.errors import RoomsError
from loqua_host.rooms.learners import Participant
from loqua_host.rooms.rooms import Rooms
from loqua_host.settings.secrets import LiveKitKey

Answer = Callable[[], web.Response]
Ask = Callable[[Answer], Awaitable[list[Participant]]]
SECRET = "a-secret-of-32-characters-or-more"
KEY = LiveKitKey(Sealed("key"), Sealed(SECRET))


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    """Yield what lists a room's participants at a server that answers like this."""
    servers: list[TestServer] = []

    async def participants(answer: Answer) -> list[Participant]:
        async def handle(_request: web.Request) -> web.Response:
            return answer()

        app = web.Application()
        app.router.add_post("/twirp/{service}/{method}", handle)
        server = TestServer(app)
        servers.append(server)
        await server.start_server()
        async with Rooms.open(str(server.make_url("")), KEY) as rooms:
            return await rooms.participants("room")

    yield participants
    for server in servers:
        await server.close()


def found(*people: ParticipantInfo) -> Answer:
    """Answer with these participants."""
    body = ListParticipantsResponse(participants=people).SerializeToString()
    return lambda: web.Response(body=body, content_type="application/protobuf")


async def test_participants_are_as_the_server_says(ask: Ask) -> None:
    """With the kind, the permission and the moment that the rules look at."""
    maria = ParticipantInfo(
        identity="maria",
        name="María",
        attributes={"user_id": "u1"},
        joined_at=1_800_000_000,
        joined_at_ms=1_800_000_000_750,
        permission=ParticipantPermission(can_update_metadata=True),
    )
    agent = ParticipantInfo(identity="agent-1", kind=ParticipantInfo.Kind.AGENT, joined_at=5)
    assert await ask(found(maria, agent)) == [
        Participant("maria", "standard", "María", {"user_id": "u1"}, True, 1_800_000_000.75),
        Participant("agent-1", "agent", "", {}, False, 5.0),
    ]


@pytest.mark.parametrize(
    ("permission", "observes"),
    [
        (ParticipantPermission(can_subscribe=True, can_publish=True, hidden=True), True),
        (ParticipantPermission(can_subscribe=True, can_publish=True, recorder=True), True),
        (ParticipantPermission(can_subscribe=True), True),
        (ParticipantPermission(can_subscribe=True, can_publish=True), False),
        (ParticipantPermission(can_subscribe=True, can_publish_data=True), False),
        (ParticipantPermission(can_publish=True), False),
    ],
)
async def test_who_takes_no_part_is_known_by_the_permissions(
    ask: Ask, permission: ParticipantPermission, observes: bool
) -> None:
    """Hidden ones, recorders, and those who may only listen."""
    [one] = await ask(found(ParticipantInfo(identity="x", permission=permission)))
    assert one.observes is observes


async def test_a_kind_that_only_a_newer_server_knows_is_no_error(ask: Ask) -> None:
    """It is nobody's learner."""
    [stranger] = await ask(found(ParticipantInfo(identity="x", kind=99)))  # type: ignore[arg-type]
    assert stranger.kind == "kind_99"


async def test_a_room_that_livekit_does_not_know_is_empty(ask: Ask) -> None:
    """It may have closed meanwhile."""
    unknown = {"code": "not_found", "msg": "room does not exist"}
    assert await ask(lambda: web.json_response(unknown, status=404)) == []


async def test_wrong_keys_are_named(ask: Ask) -> None:
    """The error says which variables to correct."""
    refused = {"code": "unauthenticated", "msg": "invalid token"}
    with pytest.raises(RoomsError, match="unauthenticated; check LIVEKIT_URL, LIVEKIT_API_KEY"):
        await ask(lambda: web.json_response(refused, status=401))


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(text="<html>welcome to the hotel's network</html>"),
        lambda: web.Response(status=500, text="oops"),
        lambda: web.Response(status=403, text="forbidden"),
        lambda: web.json_response(["no", "error"], status=502),
    ],
)
async def test_whatever_else_answers_is_a_rooms_error(ask: Ask, answer: Answer) -> None:
    """A proxy in between stops no host."""
    with pytest.raises(RoomsError):
        await ask(answer)


async def test_a_server_that_is_not_there_is_named(unused_tcp_port: int) -> None:
    """The error says which variable to correct, and shows no secret."""
    async with Rooms.open(f"ws://127.0.0.1:{unused_tcp_port}", KEY) as rooms:
        with pytest.raises(RoomsError, match="check LIVEKIT_URL") as caught:
            await rooms.participants("room")
    assert SECRET not in str(caught.value)


async def test_a_new_key_is_used_once_livekit_takes_it() -> None:
    """Half of one, or one that LiveKit does not know, leaves the old one in use."""
    new = LiveKitKey(Sealed("new"), Sealed("n" * 32))
    half = LiveKitKey(Sealed("new"), KEY.secret)
    known, issuers = [KEY], []

    async def handle(request: web.Request) -> web.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        for key in known:
            verifier = TokenVerifier(key.key.get_secret_value(), key.secret.get_secret_value())
            with contextlib.suppress(jwt.InvalidTokenError):
                verifier.verify(token)
                issuers.append(key)
                return web.Response(content_type="application/protobuf")
        return web.json_response({"code": "unauthenticated", "msg": "who?"}, status=401)

    app = web.Application()
    app.router.add_post("/twirp/{service}/{method}", handle)
    async with TestServer(app) as server, Rooms.open(str(server.make_url("")), KEY) as rooms:
        for refused in (new, half):
            with pytest.raises(RoomsError, match="unauthenticated"):
                await rooms.use_key(refused)
        await rooms.counts()
        assert (rooms.key, issuers) == (KEY, [KEY])
        known.append(new)
        await rooms.use_key(new)
        await rooms.dispatched("room")
        assert (rooms.key, issuers[-1]) == (new, new)
