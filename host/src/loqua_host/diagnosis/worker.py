"""A minimal worker for one job, without the processes and servers of LiveKit's own.

Protocol: https://github.com/livekit/protocol/blob/main/protobufs/livekit_agent.proto
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import aiohttp
from livekit import api
from livekit.protocol import agent

from loqua_host.system.proxies import proxy_for

__all__ = ["WorkerError", "register", "take_job"]

IDENTITY = "loqua-host-check"

Field = Literal["register", "availability", "assignment"]


class WorkerError(Exception):
    """LiveKit did not treat the worker as it should; the message says how."""


@asynccontextmanager
async def register(
    url: str, key: str, secret: str, agent_name: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Register a worker of that agent name for the length of a block.

    Raises:
        WorkerError: LiveKit does not take it.
    """
    token = api.AccessToken(key, secret).with_grants(api.VideoGrants(agent=True)).to_jwt()
    headers = {"Authorization": f"Bearer {token}"}
    registration = agent.RegisterWorkerRequest(
        type=agent.JobType.JT_ROOM, agent_name=agent_name, version="1.0.0"
    )
    try:
        async with (
            aiohttp.ClientSession(headers=headers, proxy=proxy_for(url)) as http,
            http.ws_connect(f"{url.rstrip('/')}/agent") as socket,
        ):
            await socket.send_bytes(agent.WorkerMessage(register=registration).SerializeToString())
            await _receive(socket, "register")
            yield socket
    except aiohttp.WSServerHandshakeError as error:
        raise WorkerError(f"LiveKit answered {error.status} at {url}/agent") from None
    except aiohttp.ClientError as error:
        raise WorkerError(f"no connection to {url}/agent: {type(error).__name__}") from None


async def take_job(socket: aiohttp.ClientWebSocketResponse) -> agent.JobAssignment:
    """Wait for an offer of a job and accept it.

    Raises:
        WorkerError: LiveKit ended the connection.
    """
    offered = await _receive(socket, "availability")
    answer = agent.AvailabilityResponse(
        job_id=offered.availability.job.id, available=True, participant_identity=IDENTITY
    )
    await socket.send_bytes(agent.WorkerMessage(availability=answer).SerializeToString())
    return (await _receive(socket, "assignment")).assignment


async def _receive(socket: aiohttp.ClientWebSocketResponse, field: Field) -> agent.ServerMessage:
    async for frame in socket:
        if frame.type is aiohttp.WSMsgType.BINARY:
            message = agent.ServerMessage.FromString(frame.data)
            if message.WhichOneof("message") == field:
                return message
    raise WorkerError(f"LiveKit ended the worker's connection before its {field}")
