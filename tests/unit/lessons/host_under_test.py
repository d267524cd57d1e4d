"""A host's lessons over a real link and ledger, with a fake job and API."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from loqua_host.contract.learner import LearnerContext, Preferences
from loqua_host.contract.records import Ending, LessonReport, Progress
from loqua_host.core import Caller
from loqua_host.errors import ApiError, LinkError, RoomsError
from loqua_host.lessons.departure import Departure
from loqua_host.lessons.dispatch_state import DispatchState
from loqua_host.lessons.lessons import Lessons
from loqua_host.lessons.services import Services
from loqua_host.link.client import HostLink, open_link
from loqua_host.link.messages import Checkpoint, Finish, Join
from loqua_host.link.server import JobRef
from loqua_host.rooms.learners import Participant
from loqua_host.system.sockets import SocketHandle

__all__ = [
    "JOB",
    "MARIA",
    "SPANISH",
    "STOPPING",
    "WRITTEN",
    "FakeRooms",
    "HostUnderTest",
    "Opened",
    "always",
    "authorise",
    "finish",
    "join",
    "learner",
    "made",
    "make_services",
    "receive",
    "until",
]

MARIA = Caller("maria", "room", "loqua-tutor")


STOPPING = "host_stopping"


JOB = JobRef("job", "room", "conversation")


WRITTEN: dict[str, Any] = {
    "agent_id": "loqua-host",
    "livekit": {"url": "ws://livekit"},
    "api": {"api_base_url": "http://api"},
    "environment": "development",
    "tutors": (),
}


SPANISH = LearnerContext(preferences=Preferences(language_learning="spanish"))


def make_services(**parts: Any) -> Services:
    """Return services of which a test gives those it uses."""
    return Services(**{field.name: None for field in fields(Services)} | parts)


def learner(user_id: str = "maria", identity: str = "", **changes: Any) -> Participant:
    """Return a learner as LiveKit reports one."""
    fields: dict[str, Any] = {
        "identity": identity or user_id,
        "kind": "standard",
        "name": user_id.title(),
        "attributes": {"user_id": user_id, "sessionId": "sess_1", "display_name": "María"},
        "writes_own_attributes": False,
        "joined_at": 1,
    }
    return Participant(**{**fields, **changes})


@dataclass
class FakeRooms:
    """LiveKit's rooms and their participants."""

    inside: dict[str, list[Participant]] = field(default_factory=dict)
    failing: RoomsError | None = None

    async def participants(self, room: str) -> list[Participant]:
        """List a room's participants."""
        if self.failing is not None:
            raise self.failing
        return self.inside.get(room, [])


@dataclass
class HostUnderTest:
    """A host's lessons with their collaborators."""

    lessons: Lessons
    services: Services
    rooms: FakeRooms
    loqua: Any
    dispatch_state: DispatchState
    link: SocketHandle
    departures: dict[str, Departure]

    async def leave(self, *jobs: JobRef, within: float = 600, reason: str = STOPPING) -> None:
        """Announce that the worker of these jobs leaves."""
        departure = Departure.within(within, reason)
        self.departures |= {job.job_id: departure for job in jobs}
        await self.lessons.announce_departure([job.job_id for job in jobs])

    async def give_up(self) -> None:
        """Close what is interrupted, as the reconciler does when nobody comes back."""
        await until(lambda: self.dispatch_state.interrupted("room"))
        for lesson in self.dispatch_state.interrupted("room"):
            self.dispatch_state.drop_interrupted(lesson)
            await self.lessons.close(lesson.row, "learner_left")

    def job(self, job: JobRef = JOB) -> "Any":
        """Connect as the job that was accepted."""
        return open_link(self.link.path, f"{job.job_id} {job.room} {job.tutor}")

    async def delivered(self) -> None:
        """Wait until the outbox is empty and every lease is back."""
        async with asyncio.timeout(30):
            await self.services.delivery.wait_idle()
        await until(lambda: not any(self.loqua.held.values()))


def authorise(token: str, _pid: int) -> JobRef:
    """Read the job from its token."""
    try:
        job_id, room, tutor = token.split(" ")
        return JobRef(job_id, room, tutor)
    except ValueError:
        raise LinkError("no such job") from None


Opened = Callable[..., Any]


async def join(link: HostLink, identity: str = "maria") -> Any:
    """Join and get the host's answer."""
    await link.send(Join(identity=identity))
    return await receive(link)


async def receive(link: HostLink) -> Any:
    """Return the host's next message in time."""
    async with asyncio.timeout(30):
        return await link.receive()


def made(seconds: float = 30, **progress: Any) -> Checkpoint:
    """Return a tick."""
    return Checkpoint(seconds=seconds, progress=Progress(**progress), state={"scene": 1})


def finish(report: LessonReport | None = None, seconds: float = 60) -> Finish:
    """Return the end of a lesson."""
    return Finish(ending=Ending(reason="learner_left", seconds=seconds), report=report)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # as an onlooker would
            await asyncio.sleep(0.001)


def always(method: str, error: ApiError) -> Callable[[str, Caller], ApiError | None]:
    """Make a method fail."""
    return lambda called, _caller: error if called == method else None
