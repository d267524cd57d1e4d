"""Client of LiveKit's rooms API."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple
from uuid import uuid4

import aiohttp
from google.protobuf.message import DecodeError
from livekit import api
from livekit.protocol.agent_dispatch import AgentDispatch
from livekit.protocol.models import ParticipantInfo, ParticipantPermission

from loqua_host.errors import RoomsError
from loqua_host.observability.faults import log_fault
from loqua_host.settings.secrets import LiveKitKey
from loqua_host.system.proxies import proxy_for

from .learners import Participant

__all__ = ["Dispatch", "RoomCounts", "Rooms", "participant_of"]


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A dispatch of an agent to a room, with the metadata for its job."""

    agent_name: str
    metadata: str = field(default="", repr=False)


class RoomCounts(NamedTuple):
    """The counts in LiveKit's list of rooms, up to ten seconds old (livekit-server, rtc/room.go).

    Attributes:
        participants: Participants other than agents and recorders.
        publishers: Participants that publish, agents among them.
    """

    participants: int
    publishers: int


ANNOUNCING_TIME = timedelta(minutes=2)
"""The lifetime of a token for an announcement in a room."""

PATIENCE = 10.0
"""The timeout of a request, in seconds."""


class Rooms:
    """Rooms and their participants, from LiveKit's server and never from jobs.

    Attributes:
        url: The address of the server.
        key: The current API key.
    """

    def __init__(self, url: str, key: LiveKitKey, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session
        self._livekit = self._signing_with(key)
        self.key = key

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, key: LiveKitKey) -> AsyncIterator["Rooms"]:
        """Open the API of the LiveKit server at `url` for the duration of a block."""
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        # Without cookies: those of LiveKit's load balancer must not affect later requests.
        jar, proxy = aiohttp.DummyCookieJar(), proxy_for(url)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=jar, proxy=proxy) as session:
            yield cls(url, key, session)

    async def use_key(self, key: LiveKitKey) -> None:
        """Use another API key from now on, if LiveKit accepts it.

        Raises:
            RoomsError: If LiveKit refuses it or does not respond; the previous key stays.
        """
        livekit = self._signing_with(key)
        with _asking():
            await livekit.room.list_rooms(api.ListRoomsRequest(names=[""]))
        self._livekit, self.key = livekit, key

    def _signing_with(self, key: LiveKitKey) -> api.LiveKitAPI:
        name, secret = key.key.get_secret_value(), key.secret.get_secret_value()
        return api.LiveKitAPI(self.url, name, secret, session=self._session)

    def announcing_token(self, room: str) -> str:
        """Return a token to join a room and publish audio there, without subscribing."""
        name, secret = self.key.key.get_secret_value(), self.key.secret.get_secret_value()
        grants = api.VideoGrants(
            room_join=True,
            room=room,
            can_subscribe=False,
            can_publish_sources=["microphone"],
            can_update_own_metadata=False,
        )
        token = api.AccessToken(name, secret).with_identity(f"announcement-{uuid4().hex}")
        # The kind is agent, so that nobody takes the participant for a learner.
        token = token.with_kind("agent").with_ttl(ANNOUNCING_TIME).with_grants(grants)
        return token.to_jwt()

    async def participants(self, room: str) -> list[Participant]:
        """List the participants of a room; none if LiveKit does not know the room.

        Raises:
            RoomsError: If LiveKit refuses or does not respond, here and below.
        """
        with _asking():
            request = api.ListParticipantsRequest(room=room)
            answer = await self._livekit.room.list_participants(request)
            return [participant_of(info) for info in answer.participants]
        return []

    async def counts(self) -> dict[str, RoomCounts]:
        """Return the counts of all rooms, by name, in one request."""
        with _asking():
            answer = await self._livekit.room.list_rooms(api.ListRoomsRequest())
            return {
                it.name: RoomCounts(it.num_participants, it.num_publishers) for it in answer.rooms
            }
        return {}

    async def dispatched(self, room: str) -> list[Dispatch]:
        """List a room's dispatches, accepted or not; the automatic agent's name is ""."""
        found = await self._dispatches(room)
        return [Dispatch(dispatch.agent_name, dispatch.metadata) for dispatch in found]

    async def dispatch(self, room: str, dispatch: Dispatch) -> None:
        """Dispatch an agent to a room."""
        with _asking():
            await self._livekit.agent_dispatch.create_dispatch(
                api.CreateAgentDispatchRequest(
                    room=room, agent_name=dispatch.agent_name, metadata=dispatch.metadata
                )
            )

    async def withdraw(self, room: str, agent_name: str) -> list[Dispatch]:
        """Delete and return a room's dispatches of an agent, which LiveKit would keep forever."""
        found = [one for one in await self._dispatches(room) if one.agent_name == agent_name]
        for dispatch in found:
            with _asking():
                await self._livekit.agent_dispatch.delete_dispatch(dispatch.id, room)
        return [Dispatch(dispatch.agent_name, dispatch.metadata) for dispatch in found]

    async def remove(self, room: str, identity: str) -> None:
        """Remove a participant from a room, if it is there."""
        with _asking():
            await self._livekit.room.remove_participant(
                api.RoomParticipantIdentity(room=room, identity=identity)
            )

    async def mark(self, room: str, identity: str, name: str, value: str) -> bool:
        """Set an attribute of a participant, or remove it with an empty value.

        Returns:
            Whether LiveKit knows the participant.
        """
        with _asking():
            await self._livekit.room.update_participant(
                api.UpdateParticipantRequest(room=room, identity=identity, attributes={name: value})
            )
            return True
        return False

    async def _dispatches(self, room: str) -> list[AgentDispatch]:
        with _asking():
            return list(await self._livekit.agent_dispatch.list_dispatch(room))
        return []


_EXPECTED_ERRORS = (aiohttp.ClientError, OSError, DecodeError, AttributeError)
"""AttributeError: raised by livekit-api 1.2.2 for an error whose JSON is not an object."""


@contextmanager
def _asking() -> Iterator[None]:
    """Convert every failure to a RoomsError, and ignore that something does not exist."""
    try:
        yield
    except api.TwirpError as error:
        if error.code != api.TwirpErrorCode.NOT_FOUND:
            raise RoomsError(
                f"LiveKit's rooms API refused: {error.code}; "
                "check LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET"
            ) from None
    except Exception as error:
        if not isinstance(error, _EXPECTED_ERRORS):
            log_fault("rooms", error)
        raise RoomsError(
            f"LiveKit's rooms API is out of reach: {type(error).__name__}; check LIVEKIT_URL"
        ) from error


def participant_of(info: ParticipantInfo) -> Participant:
    """Convert LiveKit's participant info."""
    return Participant(
        identity=info.identity,
        kind=_kind(info.kind),
        name=info.name,
        attributes=dict(info.attributes),
        writes_own_attributes=info.permission.can_update_metadata,
        joined_at=info.joined_at_ms / 1000 or float(info.joined_at),
        sid=info.sid,
        observes=_observes(info.permission),
    )


def _observes(permission: ParticipantPermission) -> bool:
    """Return whether a participant is an observer: hidden, a recorder, or unable to publish."""
    mute = not (permission.can_publish or permission.can_publish_data)
    return permission.hidden or permission.recorder or (permission.can_subscribe and mute)


def _kind(number: int) -> str:
    """Return the name of a kind, also if it is unknown to this client."""
    names = {value: name for name, value in ParticipantInfo.Kind.items()}
    return names.get(number, f"kind_{number}").lower()
