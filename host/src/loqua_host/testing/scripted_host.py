"""The host of a script: its real lessons, reconciler, ledger and delivery, in one process.

LiveKit's server, the Loqua API and the job's process are not real; see `rooms`, `api` and `job`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from itertools import count
from typing import Any, Final, Literal

from loqua_host.contract.display import ShownValue, parse_message
from loqua_host.contract.handoff import Utterance
from loqua_host.contract.records import Ending, LessonReport
from loqua_host.errors import LinkError
from loqua_host.lessons.decisions import Capacity
from loqua_host.lessons.dispatch_state import DispatchState
from loqua_host.lessons.lessons import Lessons
from loqua_host.lessons.metrics import LessonMetrics
from loqua_host.lessons.reconciler import Reconciler
from loqua_host.lessons.recovery import maintain_lease, recover
from loqua_host.lessons.services import Services
from loqua_host.lessons.tutors import RunningTutor
from loqua_host.link.client import keepalive
from loqua_host.link.messages import Finish, FromJob, Join, Welcome
from loqua_host.link.server import JobRef
from loqua_host.observability.metrics import Instruments
from loqua_host.records.delivery import Delivery
from loqua_host.records.encryption import KeyRing
from loqua_host.records.ledger import Ledger
from loqua_host.records.metrics import DeliveryMetrics
from loqua_host.registry.loader import LoadedTutor
from loqua_host.rooms.rooms import Dispatch
from loqua_host.settings.host import HostSettings
from loqua_host.system.tasks import background

from .database import MemoryDatabase, MemoryWriter
from .scripted_api import ScriptedApi
from .scripted_job import JobInRoom, ScriptedJob
from .scripted_rooms import ROOM, ScriptedRooms
from .sockets import MemoryLink
from .steps import TutorCalls
from .tutors import running_tutor
from .virtual_time import VirtualClock
from .voice import TextSession

__all__ = ["ScriptedHost"]

DISPATCH_SECONDS: Final = 0.2
"""Virtual seconds from a dispatch to its job."""


RESTART_SECONDS: Final = 20.0
"""Virtual seconds until a host that has died serves again."""


class ScriptedHost:
    """A host that teaches one tutor's lessons in one room.

    Args:
        loaded: The tutor.
        tutor: The tutor as the host runs it.
        specialists: What the script's specialists do, by agent name.
        build_session: Builds the voice session of a job.
        settings: The host's settings.

    Attributes:
        said: What was said, in order.
        answer_seconds: Virtual seconds from the learner's words to the tutor's answer, in order.
        sent: What jobs of the tutor have sent to the host.
        shown: What the tutor has shown to the learner's page, in order.
        job: The tutor's job; None while there is none.
        called: The dispatches of specialists so far.
        learner: The learner who entered first.
        visits: The session id that each learner brings, by `user_id`.
    """

    def __init__(
        self,
        loaded: LoadedTutor,
        tutor: RunningTutor,
        specialists: Iterable[TutorCalls],
        build_session: Callable[[], TextSession],
        settings: HostSettings,
    ) -> None:
        self._loaded, self._tutor, self._build_session = loaded, tutor, build_session
        self._script = list(specialists)
        names = sorted({one.agent_name for one in self._script})
        self._specialists = [running_tutor(f"specialist {name}", name) for name in names]
        self._settings = settings
        self._numbers = count(1)
        self._clock = VirtualClock()
        self.api = ScriptedApi(self._clock)
        self.rooms = ScriptedRooms(self._clock.now, self._offer)
        self.said: list[Utterance] = []
        self.answer_seconds: list[float] = []
        self._asked_at: float | None = None
        self.sent: list[FromJob] = []
        self.shown: list[ShownValue] = []
        self.job: ScriptedJob | None = None
        self.called: list[Dispatch] = []
        self.learner = ""
        self.visits: dict[str, str] = {}
        self._begun, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._links: set[MemoryLink] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._stopping = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the host for the duration of a block."""
        self._database = MemoryDatabase(self._clock.now)
        async with AsyncExitStack() as self._process, asyncio.TaskGroup() as self._jobs:
            await self._start()
            yield
            self._lessons.withdraw()
            await self._stop()

    async def restart(self) -> None:
        """Kill the host's processes, jobs included, and start it again as a service manager does.

        What it had not written to its ledger is lost.
        """
        self._stopping = True
        for serving in self._serving:
            serving.cancel()
        if self._serving:
            await asyncio.wait(self._serving)
        await self._process.aclose()
        await self._stop()
        await self._idle.wait()
        await asyncio.sleep(RESTART_SECONDS)
        self._stopping = False
        await self._start()

    async def _start(self) -> None:
        """Start the host's process on its ledger."""
        writer: Any = MemoryWriter(self._database)
        api = await self._process.enter_async_context(
            self.api.client(self._settings.api, self._tutor.agent_id)
        )
        rooms: Any = self.rooms
        ledger = Ledger(writer, KeyRing(()), f"host{next(self._numbers)}", None, 1.0)
        metrics = DeliveryMetrics(Instruments())
        delivery = Delivery(ledger, api, clock=self._clock, metrics=metrics, jitter=lambda: 1.0)
        state = DispatchState(self._clock.monotonic, lambda _: None)
        self._tasks = await self._process.enter_async_context(background())
        services = Services(
            rooms=rooms,
            api=api,
            ledger=ledger,
            delivery=delivery,
            dispatch_state=state,
            tutors=self._tutors(),
            settings=lambda: self._settings,
            tasks=self._tasks,
            clock=self._clock,
            metrics=LessonMetrics(Instruments()),
        )
        self._lessons, self._delivery = Lessons(services), delivery
        reconciler = Reconciler(services, self._capacity, self._lessons, lambda _: None)
        await recover(services)
        for work in (delivery.run(), maintain_lease(services), reconciler.run()):
            self._tasks.create_task(work)

    async def _stop(self) -> None:
        """End what a script that failed has left."""
        self._stopping = True
        for link in tuple(self._links):
            await link.cut()
        if self.job is not None:
            await self.job.kill()

    def _tutors(self) -> dict[str, RunningTutor]:
        return {one.name: one for one in (self._tutor, *self._specialists)}

    def _capacity(self) -> Capacity:
        busy = self.job is not None
        return Capacity(2, {one: 1 - busy * (one == self._tutor.name) for one in self._tutors()})

    async def open_room(self, user_id: str, metadata: str) -> None:
        """Open a new room with the learner, to which LiveKit dispatches the tutor.

        Args:
            user_id: The learner.
            metadata: The metadata of the dispatch.
        """
        self.enter(user_id)
        await self.rooms.dispatch(ROOM, Dispatch(self._tutor.agent_name, metadata))

    def enter(self, user_id: str, display_name: str = "") -> None:
        """Add a learner to the room."""
        self.learner = self.learner or user_id
        visit = self.visits.setdefault(user_id, f"visit_{len(self.visits) + 1}")
        names = {"display_name": display_name} if display_name else {}
        self.rooms.enter(user_id, "standard", user_id=user_id, sessionId=visit, **names)

    def leave(self, user_id: str) -> None:
        """Remove a learner from the room."""
        self.rooms.leave(user_id)

    def replace_tutor(self, loaded: LoadedTutor) -> None:
        """Use another version of the tutor in the next job."""
        self._loaded = loaded

    def note(self, speaker: Literal["learner", "tutor"], text: str, learner: str = "") -> None:
        """Note what is said now."""
        now = self._clock.monotonic()
        # Unlike messages to the host, the text is not truncated.
        self.said.append(Utterance.model_construct(speaker=speaker, text=text, learner=learner))
        if speaker == "learner":
            self._asked_at = now
        elif self._asked_at is not None:
            self.answer_seconds.append(now - self._asked_at)
            self._asked_at = None

    async def begun(self) -> None:
        """Wait until a job of the tutor has started."""
        await self._begun.wait()

    async def taught(self) -> None:
        """Wait until a lesson has begun, and no lesson runs."""
        await self._begun.wait()
        await self._idle.wait()

    async def delivered(self) -> None:
        """Wait until no lesson runs, and every record is delivered."""
        await self._idle.wait()
        await self._delivery.wait_idle()

    def _offer(self, dispatch: Dispatch) -> None:
        self._jobs.create_task(self._take(dispatch))

    async def _take(self, dispatch: Dispatch) -> None:
        """Start the job of a dispatch."""
        await asyncio.sleep(DISPATCH_SECONDS)
        if self._stopping:
            return
        if dispatch.agent_name == self._tutor.agent_name:
            await self._teach(self._accept(self._tutor), dispatch.metadata)
            return
        self.called.append(dispatch)
        mine = (one for one in self._script if one.agent_name == dispatch.agent_name)
        if (script := next(mine, None)) is None:
            return  # the script has no further call
        self._script.remove(script)
        if script.outcome != "absent":
            tutor = next(it for it in self._specialists if it.agent_name == script.agent_name)
            await self._be_specialist(self._accept(tutor), script)

    def _accept(self, tutor: RunningTutor) -> JobRef:
        ref = JobRef(f"job{next(self._numbers)}", ROOM, tutor.name)
        self._lessons.begin(ref)
        self.rooms.enter_agent(ref.agent, tutor.name, tutor.agent_name)
        return ref

    async def _teach(self, ref: JobRef, metadata: str) -> None:
        """Run the tutor's job until it has ended."""
        async with self._linked(ref, self.sent) as link:
            ctx = JobInRoom(self.rooms.view(ref.agent), metadata)
            job = ScriptedJob(self._tutor.job, link, ctx, self._build_session())
            job.note_replies(partial(self.note, "tutor"))
            self.job = job
            self._idle.clear()
            self._begun.set()
            await job.teach(self._loaded)
            self.shown += _shown_by(job)
            self.job = None
        self._idle.set()

    async def _be_specialist(self, ref: JobRef, script: TutorCalls) -> None:
        """Join as the specialist, teach for a while, and hand the learner back."""
        async with self._linked(ref, []) as link, keepalive(link.host):
            await link.host.send(Join(identity=self.learner))
            if isinstance(await link.host.receive(), Welcome):
                await asyncio.sleep(script.seconds)
                reason = "done" if script.outcome == "taught" else "specialist_failed"
                ending = Ending(reason=reason, seconds=script.seconds)
                with suppress(LinkError):
                    await link.host.send(Finish(ending=ending, report=LessonReport()))
                    await link.host.receive()

    @asynccontextmanager
    async def _linked(self, ref: JobRef, sent: list[FromJob]) -> AsyncIterator[MemoryLink]:
        """Yield the link of a job, which leaves the room at the end of the block."""
        link, lessons = MemoryLink(ref, sent), self._lessons
        self._links.add(link)
        serving = self._jobs.create_task(lessons.serve(link.job))
        self._serving.add(serving)
        try:
            yield link
        finally:
            await link.cut()
            self._links.discard(link)
            self.rooms.leave(ref.agent)
            await asyncio.wait({serving})
            self._serving.discard(serving)
            lessons.end(ref)


def _shown_by(job: ScriptedJob) -> Iterator[ShownValue]:
    """Yield what a job's tutor has shown; progress and outcome are the host's."""
    for topic, text, _ in job.ctx.room.local_participant.texts:
        value = parse_message(topic, text)
        if isinstance(value, ShownValue):
            yield value
