"""Checks of LiveKit as a lesson uses it: worker, job, room, two participants, audio.

All of it happens in a room of its own that names its agent, so that no tutor is called there.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import aiohttp
from livekit import api, rtc
from livekit.agents.utils import wait_for_participant
from livekit.protocol.agent import JobAssignment

from loqua_host.core.rate_headers import http_date
from loqua_host.errors import RoomsError
from loqua_host.rooms.rooms import Rooms
from loqua_host.settings.secrets import LiveKitKey
from loqua_host.system.proxies import bypass_native, proxy_for
from loqua_host.system.tasks import background, uncancelled
from loqua_host.workers.worker import LiveKitAccess

from .finding import Check, CheckState, Finding, Verdict, failed, in_order, ok
from .reach import judge_clock, reach
from .worker import WorkerError, register, take_job

__all__ = [
    "ROOMS_API",
    "MediaPath",
    "examine_livekit",
    "judge_media",
    "open_livekit",
    "throwaway_room",
    "wait_for_presence",
]

MARK = "loqua.check"
"""The attribute that the check's own learner has; no tutor takes it for one."""

RATE = 24_000
SILENCE = rtc.AudioFrame(bytes(RATE // 50 * 2), RATE, 1, RATE // 50)

KEYS = "check LIVEKIT_API_KEY and LIVEKIT_API_SECRET"
PORTS = "open LiveKit's UDP ports (rtc.udp_port or rtc.port_range_*), and check its rtc.node_ip"
AGENTS = "check that LIVEKIT_URL is a LiveKit server that has agents, and see its log"

ROOMS_API = "LiveKit: rooms API"
"""The check that all checks of rooms require."""

MEDIA_SECONDS = 30.0
"""LiveKit's client gives a connection up after 15 s."""

JOIN_SECONDS = 15.0
"""A learner who publishes nothing yet shows after 3 s (livekit/agents #6485)."""


@dataclass(frozen=True, slots=True)
class MediaPath:
    """The path of audio: a protocol such as `udp`, a kind such as `HOST` or `RELAY`."""

    protocol: str
    kind: str


async def examine_livekit(
    access: LiveKitAccess, now: Callable[[], float] = time.time
) -> list[Finding]:
    """Try LiveKit."""
    async with (
        open_livekit(access) as livekit,
        Rooms.open(access.url, access.key) as rooms,
        AsyncExitStack() as stack,
    ):
        visit = _LiveKitExamination(access, livekit, rooms, stack, now)
        reaching = reach("LiveKit", access.url, "LIVEKIT_URL", now)
        return await in_order([*reaching, *visit.checks()])


@asynccontextmanager
async def open_livekit(access: LiveKitAccess) -> AsyncIterator[api.LiveKitAPI]:
    """Yield LiveKit's API, for as long as a block lasts."""
    async with aiohttp.ClientSession(proxy=proxy_for(access.url)) as session:
        yield api.LiveKitAPI(access.url, *_opened(access.key), session=session)


@asynccontextmanager
async def throwaway_room(livekit: api.LiveKitAPI, agent_name: str) -> AsyncIterator[str]:
    """Create a room that dispatches an agent ("": the automatic one); delete it after the block.

    Raises:
        api.TwirpError: LiveKit refuses.
        aiohttp.ClientError: LiveKit is out of reach.
    """
    room = f"loqua-host-check-{uuid4().hex[:12]}"
    agents = [api.RoomAgentDispatch(agent_name=agent_name)] if agent_name else []
    request = api.CreateRoomRequest(name=room, empty_timeout=30, agents=agents)
    await livekit.room.create_room(request)
    try:
        yield room
    finally:
        with suppress(api.TwirpError, aiohttp.ClientError):
            await livekit.room.delete_room(api.DeleteRoomRequest(room=room))


class _LiveKitExamination:
    """The resources that are open so far; each check uses those of earlier checks."""

    def __init__(
        self,
        access: LiveKitAccess,
        livekit: api.LiveKitAPI,
        rooms: Rooms,
        stack: AsyncExitStack,
        now: Callable[[], float],
    ) -> None:
        self._access = access
        self._livekit = livekit
        self._rooms_api = rooms
        self._stack = stack
        self._now = now
        self._name = f"loqua-host-check-{uuid4().hex[:12]}"
        self._agent, self._learner = rtc.Room(), rtc.Room()
        self._socket: aiohttp.ClientWebSocketResponse
        self._job: JobAssignment

    def checks(self) -> list[Check]:
        """Return what to try, in order."""

        def check(name: str, ask: Callable[[], Awaitable[Verdict]], hangs: str) -> Check:
            return Check(name, ask, hangs, gate=True, limit=MEDIA_SECONDS)

        return [
            Check("LiveKit: clock", self._clock, "see LiveKit's log"),
            check(ROOMS_API, self._rooms, "see LiveKit's log"),
            check("LiveKit: worker registers", self._register, AGENTS),
            check("LiveKit: job arrives", self._offer, AGENTS),
            check("LiveKit: agent enters", self._enter, PORTS),
            check("LiveKit: learner is seen", self._check_learner_seen, PORTS),
            check("LiveKit: attributes arrive", self._attributes, "see LiveKit's log"),
            check("LiveKit: sound arrives", self._listen, PORTS),
            check("LiveKit: media path", self._path, PORTS),
        ]

    async def _clock(self) -> Verdict:
        url = self._access.url.replace("ws", "http", 1)
        try:
            async with (
                aiohttp.ClientSession(proxy=proxy_for(url)) as http,
                http.get(url) as answer,
            ):
                date = answer.headers.get("Date", "")
        except aiohttp.ClientError as error:
            return failed(f"no answer over HTTP: {type(error).__name__}", "check LIVEKIT_URL")
        return judge_clock(http_date(date), self._now())

    async def _rooms(self) -> Verdict:
        try:
            rooms = await self._rooms_api.counts()
        except RoomsError as error:
            return failed(str(error), KEYS)
        return ok(f"key and secret are accepted; {len(rooms)} rooms are open")

    async def _register(self) -> Verdict:
        worker = register(self._access.url, *_opened(self._access.key), self._name)
        try:
            self._socket = await self._stack.enter_async_context(worker)
        except WorkerError as error:
            return failed(str(error), AGENTS)
        return ok("a worker of the check's own was registered")

    async def _offer(self) -> Verdict:
        try:
            room = throwaway_room(self._livekit, self._name)
            self._room = await self._stack.enter_async_context(room)
            self._job = await take_job(self._socket)
        except (api.TwirpError, aiohttp.ClientError) as error:
            return failed(f"no room could be created: {type(error).__name__}", KEYS)
        except WorkerError as error:
            return failed(str(error), AGENTS)
        return ok("a job was offered to it, accepted and assigned")

    async def _enter(self) -> Verdict:
        url = self._job.url or self._access.url
        return await self._connect(self._agent, url, self._job.token)

    async def _check_learner_seen(self) -> Verdict:
        token = (
            api.AccessToken(*_opened(self._access.key))
            .with_identity("loqua-host-check-learner")
            .with_attributes({MARK: "true"})
            .with_grants(api.VideoGrants(room_join=True, room=self._room))
            .with_ttl(timedelta(minutes=2))
        )
        entered = await self._connect(self._learner, self._access.url, token.to_jwt())
        return (
            entered
            if entered.state is CheckState.FAILED
            else await wait_for_presence(self._agent, JOIN_SECONDS)
        )

    async def _attributes(self) -> Verdict:
        try:
            present = await self._rooms_api.participants(self._room)
        except RoomsError as error:
            return failed(str(error), KEYS)
        if not any(MARK in one.attributes for one in present):
            why = "User ID not found in participant metadata: LiveKit returns no attributes"
            return failed(why, "use a LiveKit server that has participant attributes")
        return ok("the rooms API returns a learner's attributes")

    async def _listen(self) -> Verdict:
        heard: asyncio.Future[rtc.Track] = asyncio.get_running_loop().create_future()
        self._agent.once("track_subscribed", lambda track, *_: heard.set_result(track))
        source = rtc.AudioSource(RATE, 1)
        track = rtc.LocalAudioTrack.create_audio_track("check", source)
        await self._learner.local_participant.publish_track(track)
        async with background() as tasks:
            tasks.create_task(_feed(source))
            stream = rtc.AudioStream(await heard)
            await anext(stream)
            await stream.aclose()
        return ok("the agent hears the learner")

    async def _path(self) -> Verdict:
        sent = await self._learner.get_rtc_stats()
        return judge_media(_media_paths(sent.publisher_stats))

    async def _connect(self, room: rtc.Room, url: str, token: str) -> Verdict:
        self._stack.push_async_callback(room.disconnect)
        bypass_native(url)
        try:
            # Cancelled midway, LiveKit's client ends the process 15 s later (python-sdks #784).
            await uncancelled(room.connect(url, token))
        except rtc.ConnectError as error:
            return failed(f"a participant could not enter: {error.message[:200]}", PORTS)
        return ok("entered the room, media connected")


def _opened(key: LiveKitKey) -> tuple[str, str]:
    return key.key.get_secret_value(), key.secret.get_secret_value()


async def wait_for_presence(agent: rtc.Room, seconds: float) -> Verdict:
    """Wait as jobs do until a learner is in the agent's room, at most so many seconds."""
    clock = asyncio.get_running_loop().time
    begun = clock()
    try:
        async with asyncio.timeout(seconds):
            await wait_for_participant(agent)
    except (TimeoutError, RuntimeError):
        return failed("Empty participant list in room: the agent saw no learner", PORTS)
    return ok(f"the agent saw a learner join, in {clock() - begun:.1f} s")


def judge_media(paths: Sequence[MediaPath]) -> Verdict:
    """Judge the way that sound takes; lessons go over TCP and relays too, but stutter sooner."""
    if not paths:
        return failed("no media path works", PORTS)
    protocols = {way.protocol for way in paths}
    shown = ", ".join(sorted(f"{way.protocol} {way.kind.lower()}" for way in paths))
    if protocols != {"udp"}:
        hint = f"{PORTS}; it must not have rtc.force_tcp"
        return failed(f"audio uses {shown}: UDP does not reach LiveKit", hint)
    return ok(f"sound goes by {shown}")


def _media_paths(stats: Sequence[Any]) -> list[MediaPath]:
    """Return the ways in use, from the statistics of a connection (W3C's webrtc-stats)."""
    candidates = {
        one.local_candidate.rtc.id: one.local_candidate.candidate
        for one in stats
        if one.WhichOneof("stats") == "local_candidate"
    }
    used = [
        one.candidate_pair.candidate_pair.local_candidate_id
        for one in stats
        if one.WhichOneof("stats") == "candidate_pair"
        and one.candidate_pair.candidate_pair.nominated
    ]
    return [_media_path(candidates[one]) for one in used if one in candidates]


def _media_path(candidate: Any) -> MediaPath:
    kinds = candidate.DESCRIPTOR.fields_by_name["candidate_type"].enum_type.values_by_number
    return MediaPath(candidate.protocol, kinds[candidate.candidate_type].name.removeprefix("ICE_"))


async def _feed(source: rtc.AudioSource) -> None:
    while True:
        await source.capture_frame(SILENCE)
