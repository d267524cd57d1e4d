"""A lesson by script in a real room: LiveKit's server, a host's process, and spoken words.

It expects what `virtual_lesson` does. Words are synthesised, recognised and heard by the offline
speech server, and time is real.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import uuid4

import httpx
from livekit import api

from loqua_host.contract.handoff import Utterance
from loqua_host.contract.learner import LearnerContext
from loqua_host.contract.records import Progress
from loqua_host.dev.api.store import Arrival
from loqua_host.dev.learner import synthesise_line
from loqua_host.dev.parts import Parts, local_parts
from loqua_host.link.dispatch_metadata import pack
from loqua_host.registry.loader import LoadedTutor
from loqua_host.system.tasks import background

from .meaning import Claim
from .player import ANSWER_SECONDS, START_SECONDS, LessonFailedError
from .result import LessonResult, find_failures, render_lesson
from .room_host import TUTOR, RoomHost, check_playable, write_room_config
from .room_learner import RoomLearner
from .room_specialist import CALLED
from .script import LessonScript
from .scripted_api import calls_in, outage, records_in, registered
from .scripted_host import RESTART_SECONDS
from .steps import (
    FailApi,
    Joins,
    KillJob,
    Leaves,
    LessonStep,
    RestartHost,
    Returns,
    Says,
    StaysSilent,
    TutorCalls,
    TutorSays,
    Types,
)

__all__ = ["play_in_room"]

JOIN_SECONDS: Final = 60.0
"""Seconds for the tutor to join, or to join again."""

WORDS_SECONDS: Final = 10.0
"""Seconds for a text to arrive after its sound."""

HANDOFF_SECONDS: Final = 60.0
"""Seconds for a call to arrive, and for the learner to be handed back."""

END_SECONDS: Final = 120.0
"""Seconds for the lesson to end, and for its record to arrive."""


async def play_in_room(script: LessonScript, loaded: LoadedTutor) -> LessonResult:
    """Play a lesson without a look at what its script expects in the end.

    Args:
        script: The script.
        loaded: Its tutor.

    Raises:
        LessonFailedError: If a step is not possible, or the tutor does not do what a step expects.
        ScriptError: If a real room cannot play it.
        LiveKitUnavailableError: If no LiveKit server can be had.
    """
    check_playable(script)
    with TemporaryDirectory(prefix="loqua-lesson-") as folder:
        config = Path(folder, "config")
        async with local_parts(lambda _: None) as parts:
            write_room_config(config, script, loaded.tutor, parts.speech_url)
            secrets = {name: f"secret of {name}" for name in loaded.tutor.secrets}
            host = RoomHost(config, parts, secrets)
            async with host.running():
                return await _RoomLesson(script, loaded, parts, host).play()


class _RoomLesson:
    """The course of a lesson in a real room."""

    def __init__(
        self,
        script: LessonScript,
        loaded: LoadedTutor,
        parts: Parts,
        host: RoomHost,
    ) -> None:
        self._script, self._agent_name = script, loaded.tutor.agent_name
        self._parts, self._host = parts, host
        self._room = f"lesson-{uuid4().hex[:8]}"
        self._learners: dict[str, RoomLearner] = {}
        self._visits: dict[str, str] = {}
        self._said: list[Utterance] = []
        self._checked = self._called = 0
        self._claims: list[Claim] = []
        self._heard = asyncio.Event()
        self._recovery: asyncio.Task[None] | None = None

    async def play(self) -> LessonResult:
        """Play it from the learner's entry to the record."""
        url = self._parts.api_url
        async with (
            httpx.AsyncClient(base_url=url, timeout=END_SECONDS) as self._client,
            background() as self._tasks,
        ):
            try:
                await self._play()
                await self._end()
            except LessonFailedError as failed:
                shown = render_lesson(self._said, self._host.log)
                raise LessonFailedError(f"{failed}\n{shown}") from None
            finally:
                for learner in self._learners.values():
                    await learner.leave()
            return self._result(await self._arrivals())

    async def _play(self) -> None:
        script = self._script
        steps = list(enumerate(script.steps, 1))
        while steps and isinstance(steps[0][1], FailApi):
            await self._take(steps.pop(0)[1])
        await self._enter(script.user_id, script.context)
        if self._agent_name:
            await self._dispatch(self._agent_name)
        await self._logged("lesson.opened", JOIN_SECONDS, 0, "no tutor came")
        await self._own.wait_for_playout()
        for number, step in steps:
            if script.until_end and self._is_over():
                return
            try:
                await self._take(step)
            except LessonFailedError as error:
                raise LessonFailedError(f"step {number}, {step}: {error}") from None

    async def _take(self, step: LessonStep) -> None:
        match step:
            case Says() | Types():
                await self._speak(step)
            case StaysSilent(seconds=seconds):
                await asyncio.sleep(seconds)
            case Joins() | Leaves() | Returns():
                await self._move(step)
            case KillJob() | RestartHost():
                await self._crash(step)
            case FailApi():
                await self._fail_api(step)
            case TutorSays():
                await self._check(step)
            case TutorCalls():
                await self._await_call(step)

    @property
    def _own(self) -> RoomLearner:
        return self._learners[self._script.user_id]

    def _known(self, learner: str) -> RoomLearner:
        """Return the learner of a step: without a name, the script's own."""
        if learner and learner not in self._learners:
            raise LessonFailedError(f"{learner} has not entered; write `joins: {learner}` before")
        return self._learners[learner or self._script.user_id]

    async def _speak(self, step: Says | Types) -> None:
        if self._is_over():
            raise LessonFailedError("the tutor has left, and nobody hears it")
        who = step.learner or self._script.user_id
        learner = self._known(step.learner)
        self._said.append(Utterance.model_construct(speaker="learner", text=step.text, learner=who))
        await (learner.say if isinstance(step, Says) else learner.write)(step.text)

    async def _move(self, step: Joins | Leaves | Returns) -> None:
        match step:
            case Joins(learner=learner, display_name=name):
                await self._enter(learner, LearnerContext(), name)
            case Leaves(learner=learner):
                await self._known(learner).leave()
            case Returns(learner=learner):
                await self._known(learner).enter()
        await asyncio.sleep(START_SECONDS)

    async def _enter(self, user_id: str, context: LearnerContext, name: str = "") -> None:
        known = registered(context).model_copy(update={"display_name": name or user_id})
        put = f"/dev/learners/{user_id}"
        (await self._client.put(put, json=known.model_dump(mode="json"))).raise_for_status()
        body = {"user_id": user_id, "room_name": self._room}
        joining = (await self._client.post("/api/v1/rooms/join", json=body)).raise_for_status()
        self._visits[user_id] = joining.json()["session_id"]
        own = user_id == self._script.user_id
        learner = RoomLearner(joining.json(), self._sound, self._on_said if own else _ignore)
        self._learners[user_id] = learner
        await learner.enter()

    async def _dispatch(self, agent_name: str) -> None:
        script, livekit = self._script, self._parts.livekit
        metadata = pack(script.handover, script.user_id) if script.handover else ""
        async with api.LiveKitAPI(livekit.url, livekit.api_key, livekit.api_secret) as rooms:
            await rooms.agent_dispatch.create_dispatch(
                api.CreateAgentDispatchRequest(
                    agent_name=agent_name, room=self._room, metadata=metadata
                )
            )

    async def _crash(self, step: KillJob | RestartHost) -> None:
        """Kill the job or the host, and hear out the tutor that is restored."""
        opened = len(self._host.log)
        if isinstance(step, KillJob):
            self._host.kill_job()
        else:
            await self._host.kill()
            await asyncio.sleep(RESTART_SECONDS)
            await self._host.start()
        await self._logged("lesson.resumed", JOIN_SECONDS, opened, "no tutor came back")
        self._own.listen()
        await self._own.wait_for_playout()

    async def _fail_api(self, step: FailApi) -> None:
        faults = {"faults": [outage(step.status).model_dump(mode="json")]}
        (await self._client.put("/dev/faults", json=faults)).raise_for_status()
        if self._recovery is not None:
            self._recovery.cancel()  # that of an earlier outage, which this one outlasts
        self._recovery = self._tasks.create_task(self._recover_api(step.seconds))

    async def _recover_api(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._client.delete("/dev/faults")

    async def _check(self, expected: TutorSays) -> None:
        try:
            async with asyncio.timeout(WORDS_SECONDS):
                while not self._is_said(expected):
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            heard = [one.text for one in self._said[self._checked :] if one.speaker == "tutor"]
            why = f"the tutor did not say {expected}, but {heard or 'nothing'}"
            raise LessonFailedError(why) from None

    def _is_said(self, expected: TutorSays) -> bool:
        """Return whether it has been said by now; what is meant is judged later."""
        said = self._said[self._checked :]
        if expected.means and said:
            self._checked += len(said)
            text = " ".join(one.text for one in said if one.speaker == "tutor")
            self._claims.append((text, expected.means))
            return True
        for number, one in enumerate(said, self._checked + 1):
            if one.speaker == "tutor" and expected.accepts(one.text):
                self._checked = number
                return True
        return False

    async def _await_call(self, expected: TutorCalls) -> None:
        called = await self._logged(
            CALLED, HANDOFF_SECONDS, self._called, "the tutor called nobody"
        )
        self._called = self._host.log.index(called) + 1
        asked = {name: called[name] for name in ("agent_name", "focus")}
        for name, value in (asked | {"words": tuple(called["words"])}).items():
            if getattr(expected, name) not in (None, value):
                raise LessonFailedError(f"the tutor called with {name} {value!r}")
        over = HANDOFF_SECONDS + expected.seconds
        await self._logged("lesson.recorded", over, self._called, "the specialist did not end")
        await asyncio.sleep(ANSWER_SECONDS)
        await self._own.wait_for_playout()

    async def _logged(self, event: str, seconds: float, after: int, missing: str) -> Any:
        try:
            async with asyncio.timeout(seconds):
                return await self._host.until(event, after=after)
        except TimeoutError:
            raise LessonFailedError(missing) from None

    async def _end(self) -> None:
        """Remove all learners, and wait until the API has the lesson's record."""
        for learner in self._learners.values():
            await learner.leave()
        try:
            async with asyncio.timeout(END_SECONDS + self._script.reconnect_timeout):
                await self._recorded()
        except TimeoutError:
            raise LessonFailedError("the lesson does not end") from None

    async def _recorded(self) -> None:
        """Wait until the API has the records of all the tutor's lessons."""
        opened = {one["session_id"] for one in self._mine("lesson.opened")}
        async with self._client.stream(
            "GET", "/dev/events", headers={"Last-Event-ID": "0"}
        ) as sent:
            async for line in sent.aiter_lines():
                if (
                    line == "event: sessions"
                    and opened <= records_in(await self._arrivals()).keys()
                ):
                    return

    def _mine(self, event: str) -> list[Mapping[str, Any]]:
        """Return the log events of the tutor's lessons with a name."""
        return [it for it in self._host.log if it["event"] == event and it.get("tutor") == TUTOR]

    def _is_over(self) -> bool:
        """Return whether the script's own lesson has ended."""
        return bool(self._mine("lesson.recorded"))

    async def _sound(self, text: str) -> bytes:
        return await synthesise_line(f"{self._parts.speech_url}/v1", text, self._script.language)

    def _on_said(self, text: str) -> None:
        self._said.append(Utterance.model_construct(speaker="tutor", text=text, learner=""))
        self._heard.set()

    async def _arrivals(self) -> list[Arrival]:
        kinds = (await self._client.get("/dev/records")).raise_for_status().json()
        arrivals = (Arrival.model_validate(one) for kind in kinds.values() for one in kind)
        return sorted(arrivals, key=lambda one: one.number)

    def _result(self, arrivals: list[Arrival]) -> LessonResult:
        """Return what came of it, from the host's log and from what the API got."""
        log, records = self._host.log, records_in(arrivals)
        timed = self._mine("hook.timed")
        ends = [one["reason"] for one in self._mine("lesson.recorded")]
        visits = {user: visit for user, visit in self._visits.items() if visit in records}
        slowest: dict[str, float] = {}
        for one in timed:
            slowest[one["hook"]] = max(slowest.get(one["hook"], 0.0), one["seconds"])
        return LessonResult(
            said=tuple(self._said),
            shown=(),
            answer_seconds=self._own.answer_seconds,
            hooks=tuple(one["hook"] for one in timed),
            hook_seconds=slowest,
            ticks=tuple(_progress_of(arrivals, self._visits[self._script.user_id])),
            reason=ends[-1] if ends else "",
            report=None,
            record=records.get(self._visits[self._script.user_id]),
            records={user: records[visit] for user, visit in visits.items()},
            calls=calls_in(arrivals),
            failures=tuple(find_failures(log)),
            log=tuple(log),
            claims=tuple(self._claims),
        )


def _progress_of(arrivals: list[Arrival], visit: str) -> list[Progress]:
    """Return the progress of a visit that the API got, in order."""
    payloads = (one.payload for one in arrivals if one.kind == "progress")
    mine = (one for one in payloads if one.get("sessionId") == visit)
    return [Progress.model_validate(one["data"]["progress"]) for one in mine]


def _ignore(_text: str) -> None:
    """Ignore what the script's own learner hears."""
