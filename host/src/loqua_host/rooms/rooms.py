"""LiveKit's rooms API, as the host asks it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from livekit import api
from livekit.protocol.models import ParticipantInfo
from pydantic import SecretStr

from loqua_host.errors import RoomsError

from .learners import Participant

__all__ = ["Rooms"]


class Rooms:
    """Rooms and who is in them, from LiveKit's server itself, never from a job's word."""

    def __init__(self, livekit: api.LiveKitAPI) -> None:
        self._livekit = livekit

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, key: SecretStr, secret: SecretStr) -> AsyncIterator["Rooms"]:
        """Open the API of the LiveKit server at `url` for as long as the block lasts."""
        livekit = api.LiveKitAPI(url, key.get_secret_value(), secret.get_secret_value())
        try:
            yield cls(livekit)
        finally:
            await livekit.aclose()

    async def participants(self, room: str) -> list[Participant]:
        """List who is in a room.

        A room that LiveKit does not know has nobody in it.

        Raises:
            RoomsError: If LiveKit refuses or does not answer.
        """
        request = api.ListParticipantsRequest(room=room)
        try:
            answer = await self._livekit.room.list_participants(request)
        except api.TwirpError as error:
            if error.code == api.TwirpErrorCode.NOT_FOUND:
                return []
            raise RoomsError(f"LiveKit's rooms API refused: {error.code}") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RoomsError(f"LiveKit's rooms API is out of reach: {error!r}") from error
        return [_participant(info) for info in answer.participants]


def _participant(info: ParticipantInfo) -> Participant:
    return Participant(
        identity=info.identity,
        kind=ParticipantInfo.Kind.Name(info.kind).lower(),
        name=info.name,
        attributes=dict(info.attributes),
        writes_own_attributes=info.permission.can_update_metadata,
        joined_at=info.joined_at,
    )
