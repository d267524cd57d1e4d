"""The reconciler: the only thing in the host that dispatches."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog

from loqua_host.errors import LearnerError, RoomsError
from loqua_host.records.ledger import Ledger
from loqua_host.rooms.learners import Participant, verify_learner
from loqua_host.rooms.rooms import Rooms

from .board import Board
from .hosted import HostedTutor
from .reconcile import Close, Dispatch, Interrupted, Present, Restore, Sight, decide

__all__ = ["Reconciler"]

log = structlog.get_logger()

POLL_SECONDS = 5.0
"""How often rooms are looked at without a reason; lost dispatches and returns wait so long."""

AGENT_NAME = "lk.agent.name"
"""LiveKit's attribute of the name an agent was dispatched by; absent or empty for automatic."""


class Reconciler:
    """Looks at rooms, decides what learners are owed, and does it.

    Args:
        free: Says of each tutor that runs here whether it has a place free.
        close: Writes the record of an interrupted lesson that will not go on.
        now: Unix seconds.
    """

    def __init__(
        self,
        *,
        rooms: Rooms,
        ledger: Ledger,
        board: Board,
        tutors: Mapping[str, HostedTutor],
        free: Callable[[], Mapping[str, bool]],
        close: Callable[[Interrupted, str], Awaitable[None]],
        now: Callable[[], float],
    ) -> None:
        self._rooms = rooms
        self._ledger = ledger
        self._board = board
        self._tutors = tutors
        self._free = free
        self._close = close
        self._now = now
        self._by_agent_name = {tutor.agent_name: tutor.name for tutor in tutors.values()}

    async def run(self) -> None:
        """Reconcile whenever the board changes and every few seconds, until cancelled."""
        while True:
            self._board.changed.clear()
            try:
                await self._look_everywhere()
            except RoomsError as error:
                log.warning("reconciler.blind", why=str(error))
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._board.changed.wait()
        except TimeoutError:
            return

    async def _look_everywhere(self) -> None:
        inhabited = await self._rooms.inhabited()
        self._board.forget_rooms(inhabited)
        for room in inhabited | self._board.interrupted_rooms():
            await self._reconcile(room)

    async def _reconcile(self, room: str) -> None:
        for action in decide(await self._see(room), self._free(), self._now()):
            match action:
                case Restore(lesson=lesson):
                    log.warning("lesson.restoring", room=room, tutor=lesson.row.tutor)
                    if lesson.agent is not None:
                        await self._rooms.remove(room, lesson.agent)
                    await self._dispatch(room, lesson.row.tutor)
                case Dispatch(tutor=tutor):
                    log.warning("tutor.called_again", room=room, tutor=tutor)
                    await self._dispatch(room, tutor)
                case Close(lesson=lesson, because=because):
                    if self._board.drop_interrupted(lesson):
                        await self._close(lesson, because)

    async def _dispatch(self, room: str, tutor: str) -> None:
        """Call a tutor, and take back the calls that brought nobody."""
        self._board.on_called(room, tutor)
        agent_name = self._tutors[tutor].agent_name
        await self._rooms.withdraw(room, agent_name)
        await self._rooms.dispatch(room, agent_name)

    async def _see(self, room: str) -> Sight:
        participants = await self._rooms.participants(room)
        interrupted = self._board.interrupted(room)
        dead = {lesson.agent for lesson in interrupted}
        agents = (
            one.attributes.get(AGENT_NAME, "")
            for one in participants
            if one.kind == "agent" and one.identity not in dead
        )
        return Sight(
            learners=_learners(participants),
            wanted=self._tutors_of(await self._rooms.dispatched(room)),
            taught=self._tutors_of(agents) | self._board.taught(room),
            interrupted=interrupted,
            pending=self._board.called(room),
            settled=await self._settled(room, participants),
        )

    def _tutors_of(self, agent_names: Iterable[str]) -> frozenset[str]:
        """Get the tutors of this host behind these agent names; others are not its business."""
        return frozenset(
            self._by_agent_name[name] for name in agent_names if name in self._by_agent_name
        )

    async def _settled(
        self, room: str, participants: list[Participant]
    ) -> dict[tuple[str, str], float]:
        settled = await self._ledger.closed_in(room)
        user_ids = {one.identity: one.attributes.get("user_id", "") for one in participants}
        for (identity, tutor), at in self._board.refused(room).items():
            key = (user_ids.get(identity, ""), tutor)
            settled[key] = max(at, settled.get(key, 0.0))
        return settled


def _learners(participants: list[Participant]) -> tuple[Present, ...]:
    present = []
    for one in sorted(participants, key=lambda p: p.joined_at):
        try:
            present.append(Present(verify_learner(one).user_id, one.joined_at))
        except LearnerError:
            continue
    return tuple(present)
