"""The reconciler, which makes all dispatches of the host."""

import asyncio
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from loqua_host.contract.handoff import Handback
from loqua_host.errors import LearnerError, LedgerError, RoomsError
from loqua_host.link.dispatch_metadata import is_handover, pack
from loqua_host.observability.faults import log_fault
from loqua_host.records.ledger import LeaseClaims, LessonRow
from loqua_host.rooms.learners import Participant, verify_learner
from loqua_host.rooms.rooms import Dispatch, RoomCounts

from .decisions import (
    AbsentLearner,
    Action,
    Capacity,
    Close,
    DispatchTutor,
    Interrupted,
    NotifyWaiting,
    PresentLearner,
    RequestStepOut,
    RoomSnapshot,
    Wait,
    decide,
    waits,
)
from .dispatch_state import CALL_SECONDS
from .room_sweep import RoomSweep
from .services import Services
from .tutors import TUTOR, find_agent_name

__all__ = ["WAITING", "Reconciler"]

log = structlog.get_logger()

POLL_SECONDS = 2.0
"""Seconds between polls of the rooms; lost dispatches and returns are noticed within them."""

OTHERS_SECONDS = 2 * POLL_SECONDS + 1.0
"""Seconds before a learner without capacity here is notified, if there are other hosts. Another
host needs one poll to see the learner, one poll to dispatch, and the time that these take."""

STEP_OUT_SECONDS = 10.0
"""Seconds for which a learner is left to the host that frees capacity for them."""

STALE_SECONDS = 5.0
"""Seconds for which LiveKit's participant list may show the previous value of an attribute."""

WAITING = "loqua.waiting"
"""The participant attribute of a waiting learner, with the value `true`."""


@dataclass(frozen=True, slots=True)
class _Room:
    """The state of a room from LiveKit and the ledger.

    Attributes:
        closed_entries: Entry and tutor of each lesson that was closed or refused.
        elsewhere: The tutors of other hosts.
        handbacks: The results for tutors that have called specialists, by specialist.
        read_at: When LiveKit was asked, in monotonic seconds; other rooms may answer much later.
    """

    name: str
    participants: tuple[Participant, ...]
    dispatched: tuple[Dispatch, ...]
    handbacks: Mapping[str, Handback]
    read_at: float
    closed_entries: Collection[tuple[str, str]] = ()
    elsewhere: LeaseClaims = field(default_factory=LeaseClaims)

    def agents(self, but: Collection[str | None] = ()) -> set[str]:
        """Return the tutors whose agents are in the room, but for those with these identities."""
        return {
            one.attributes.get(TUTOR, "")
            for one in self.participants
            if one.kind == "agent" and one.identity not in but
        }


class LessonsHere(Protocol):
    """The interface of this host's lessons for the reconciler."""

    def see(self, room: str, participants: Sequence[Participant]) -> None:
        """Handle the participants of a room, whenever they were listed."""

    def running(self, room: str) -> Sequence[LessonRow]:
        """List the lessons that run in a room."""

    async def step_out(self, lesson_id: str, away_since: float) -> None:
        """Request that a job leaves its lesson open, because its learner left at `away_since`."""

    async def leave(self, room: str, tutor: str) -> None:
        """Cut off a tutor's lesson in a room, which another host has resumed."""

    async def close(self, row: LessonRow, reason: str) -> None:
        """Close an interrupted lesson that will not be resumed."""


class Reconciler:
    """Take snapshots of the rooms, decide on actions, and perform them.

    Args:
        services: Its collaborators.
        capacity: Returns the free capacity.
        lessons: The lessons of this host.
        say: Starts the announcement for a waiting learner.
    """

    def __init__(
        self,
        services: Services,
        capacity: Callable[[], Capacity],
        lessons: LessonsHere,
        say: Callable[[NotifyWaiting], None],
    ) -> None:
        self._rooms = services.rooms
        self._ledger = services.ledger
        self._dispatch_state = services.dispatch_state
        self._tutors = services.tutors
        self._settings = services.settings
        self._monotonic = services.clock.monotonic
        self._metrics = services.metrics
        self._capacity = capacity
        self._lessons = lessons
        self._say = say
        self._sighted = math.inf
        self._sweep = RoomSweep()
        self._swept_for: frozenset[str] = frozenset()
        # By room, and by entry or lesson.
        self._seen: dict[tuple[str, str], float] = {}
        self._away: dict[tuple[str, str], float] = {}
        self._notified: dict[tuple[str, str], tuple[bool, float]] = {}
        self._waits: dict[str, tuple[DispatchTutor, ...]] = {}

    def waiting(self) -> tuple[Wait, ...]:
        """Return the waits of all learners without a tutor."""
        now = self._monotonic()
        calls = (call for room in self._waits.values() for call in room)
        return tuple(
            Wait(one.tutor, now - one.since)
            for one in calls
            if one.tutor not in self._dispatch_state.taught(one.room)
        )

    async def run(self) -> None:
        """Reconcile whenever the dispatch state changes and every few seconds, until cancelled."""
        while True:
            self._dispatch_state.changed.clear()
            await self.look()
            await self._pause()

    async def look(self) -> None:
        """Reconcile the rooms that are due once, those with interrupted lessons first."""
        try:
            dead = self._dispatch_state.take_dead()
            await asyncio.gather(*(self._remove_dead(room, agent) for room, agent in dead))
            if lost := self._dispatch_state.interrupted_rooms():
                await self._reconcile(lost)
            counts = await self._rooms.counts()
            known = {*counts}
            self._sighted = min(self._sighted, self._monotonic())
            names = self._choose(counts)
            snapshots = await self._reconcile(names)
            await self._leave_lost()
            self._forget_all_but(snapshots, unread=(known | names) - {it.room for it in snapshots})
            self._dispatch_state.forget_rooms(known)
            self._waits = {name: calls for name, calls in self._waits.items() if name in known}
        except RoomsError as error:
            self._sighted = math.inf
            self._metrics.rooms_failures.inc()
            log.warning("reconciler.rooms_unreachable", why=str(error))

    def _choose(self, counts: Mapping[str, RoomCounts]) -> set[str]:
        """Return the rooms to read now.

        While a learner waits for capacity, these include all with a lesson: one whose learner is
        away gives way.
        """
        served = frozenset(self._tutors)
        if served != self._swept_for:  # any room may have a learner who waits for a new tutor
            self._sweep, self._swept_for = RoomSweep(), served
        self._sweep.note_counts(counts)
        self._sweep.mark_changed(self._dispatch_state.changed_rooms)
        self._dispatch_state.changed_rooms.clear()
        waiting = {room for room, calls in self._waits.items() if calls}
        notified = {room for (room, _), (shown, _) in self._notified.items() if shown}
        away = {room for room, _ in self._away}
        taught = self._dispatch_state.taught_rooms()
        active = self._dispatch_state.active_rooms() | waiting | notified | away
        if self._dispatch_state.waiting:
            active |= taught
        chosen = (active & counts.keys()) | self._dispatch_state.interrupted_rooms()
        return self._sweep.choose(counts.keys(), chosen, taught, self._monotonic())

    def _forget_all_but(self, snapshots: Sequence[RoomSnapshot], unread: set[str]) -> None:
        """Forget who has left and whose learner is back; in an unread room all keep their turns."""
        entries = {(it.room, one.entry) for it in snapshots for one in it.learners}
        absent = {(it.room, one.row.id) for it in snapshots for one in it.absent}
        self._seen = {k: at for k, at in self._seen.items() if k in entries or k[0] in unread}
        self._notified = {
            k: it for k, it in self._notified.items() if k in entries or k[0] in unread
        }
        self._away = {k: at for k, at in self._away.items() if k in absent or k[0] in unread}

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._dispatch_state.changed.wait()
        except TimeoutError:
            return

    async def _reconcile(self, names: Iterable[str]) -> list[RoomSnapshot]:
        """Reconcile these rooms; return their snapshots."""
        rooms = await self._read(names)
        # Nothing is awaited before the dispatches are noted, so that the state has not changed.
        snapshots = [snapshot for room in rooms if (snapshot := self._snapshot_of(room))]
        if self._dispatch_state.leaving:
            self._waits.clear()
            self._dispatch_state.waiting = frozenset()
            return []
        capacity = self._capacity().reserve(self._dispatch_state.awaited())
        self._waits |= {
            snapshot.room: waits(snapshot, capacity, self._monotonic()) for snapshot in snapshots
        }
        others = OTHERS_SECONDS if self._dispatch_state.shared else 0.0
        timeout = self._settings().lessons.reconnect_timeout
        actions = decide(snapshots, capacity, self._monotonic(), timeout, others=others)
        for action in actions:
            if isinstance(action, DispatchTutor):
                self._dispatch_state.on_called(action.room, action.tutor, action.learner.identity)
        self._note_waiting()
        # Notices go out at once, however long a dispatch takes.
        notices = [action for action in actions if isinstance(action, NotifyWaiting)]
        by_room = _by_room(action for action in actions if not isinstance(action, NotifyWaiting))
        await asyncio.gather(*map(self._act, notices), *map(self._act_in_turn, by_room))
        return snapshots

    async def _leave_lost(self) -> None:
        """Leave the lessons that other hosts have resumed while this one was frozen or cut off."""
        try:
            claims = await self._ledger.claims_in(self._dispatch_state.taught_rooms())
        except LedgerError as error:
            self._metrics.rooms_failures.inc()
            log.warning("reconciler.rooms_unreachable", why=str(error))
            return
        for room, elsewhere in claims.items():
            for tutor in elsewhere.taught & self._dispatch_state.taught(room):
                await self._lessons.leave(room, tutor)

    def _note_waiting(self) -> None:
        """Note which learners wait, so that no later learner is served before them."""
        missing = {(one.room, one.tutor) for some in self._waits.values() for one in some}
        called = self._dispatch_state.called
        self._dispatch_state.waiting = frozenset(
            one for one in missing if one[1] not in called(one[0])
        )

    async def _act_in_turn(self, actions: Iterable[Action]) -> None:
        """Perform the actions for one room in order.

        In a room that is gone, every request to LiveKit takes seconds (livekit/livekit#4488).
        """
        for action in actions:
            await self._act(action)

    async def _act(self, action: Action) -> None:
        try:
            match action:
                case DispatchTutor():
                    await self._call(action)
                case Close(lesson=lesson, reason=reason):
                    if self._dispatch_state.drop_interrupted(lesson):
                        await self._lessons.close(lesson.row, reason)
                        await self._clear_away(lesson)
                case RequestStepOut(lesson=absent, call=call):
                    # Another host may serve the same learner.
                    if await self._ledger.claim(call.room, call.tutor, STEP_OUT_SECONDS):
                        await self._lessons.step_out(absent.row.id, absent.since)
                case NotifyWaiting():
                    await self._notify_learner(action)
        except (RoomsError, LedgerError) as error:
            what = type(action).__name__.lower()
            log.warning("reconciler.failed", what=what, why=str(error), **self._ids(action))
        except Exception as error:  # noqa: BLE001  # one learner's error must not affect others
            log_fault("Reconciler.act", error)

    async def _call(self, call: DispatchTutor) -> None:
        """Remove lost dispatches, then dispatch a tutor; the lost one goes when it is accepted."""
        if not self._is_due(call):
            self._dispatch_state.on_not_called(call.room, call.tutor)
            return
        own, elsewhere = self._tutors, self._dispatch_state.elsewhere
        agent_name = find_agent_name(call.tutor, own, elsewhere) or ""
        try:
            if not await self._ledger.claim(call.room, call.tutor, CALL_SECONDS):
                self._dispatch_state.on_not_called(call.room, call.tutor)
                return
            event = "tutor.called" if call.lesson is None else "lesson.restoring"
            if call.lesson is None:
                self._metrics.tutors_called.labels(call.tutor).inc()
            # A missing tutor is a warning; a specialist that a tutor called is not.
            write_log = log.info if call.asked and call.lesson is None else log.warning
            write_log(event, tutor=call.tutor, **self._ids(call))
            dead = self._dead_agents(call)
            if self._dispatch_state.shared:  # another host may accept the job, unseen by this one
                for agent in dead:
                    await self._rooms.remove(call.room, agent)
            elif dead:
                self._dispatch_state.on_dead(call.room, call.tutor, dead)
            before = await self._rooms.withdraw(call.room, agent_name)
            metadata = self._metadata(call, before)
            await self._rooms.dispatch(call.room, Dispatch(agent_name, metadata))
            # To dispatch again as soon as this one counts as lost.
            loop = asyncio.get_running_loop()
            loop.call_later(CALL_SECONDS, self._dispatch_state.changed.set)
        except (RoomsError, LedgerError):
            self._dispatch_state.on_not_called(call.room, call.tutor)
            raise

    async def _remove_dead(self, room: str, agent: str) -> None:
        """Remove a dead agent. One room's error must not affect others."""
        try:
            await self._rooms.remove(room, agent)
        except RoomsError as error:  # LiveKit removes it itself after 20 s
            log.warning("reconciler.failed", what="remove", why=str(error), room=room)

    def _dead_agents(self, call: DispatchTutor) -> list[str]:
        """Return the identities of the agents that a dispatched tutor follows."""
        lost = self._dispatch_state.lost_agents(call.room).get(call.tutor)
        interrupted = call.lesson.agent if call.lesson is not None else None
        return [agent for agent in (interrupted, lost) if agent]

    def _is_due(self, call: DispatchTutor) -> bool:
        """Return whether the tutor still runs and, if it was called, is still expected."""
        if self._dispatch_state.standby and not call.goes_on:
            return False
        if call.asked and call.lesson is None:
            runs = call.tutor in self._tutors or call.tutor in self._dispatch_state.elsewhere
            return runs and call.tutor in self._dispatch_state.asked(call.room)
        return call.tutor in self._tutors

    async def _notify_learner(self, notice: NotifyWaiting) -> None:
        """Set or clear a learner's waiting attribute, and start the announcement."""
        entry, identity = (notice.room, notice.learner.entry), notice.learner.identity
        self._notified[entry] = (notice.waiting, self._monotonic())
        shown = "true" if notice.waiting else ""
        if not await self._rooms.mark(notice.room, identity, WAITING, shown):
            del self._notified[entry]  # has left, or is not yet in the room
            return
        log.info("learner.notified", waiting=notice.waiting, **self._ids(notice))
        if notice.aloud:
            self._say(notice)

    def _ids(self, action: Action) -> dict[str, str]:
        """Return the ids of an action's learner for log lines."""
        if isinstance(action, Close | RequestStepOut):
            return {**action.lesson.row.bound, "room": action.lesson.row.room}
        ids = {"user_id": action.learner.user_id, "room": action.room}
        if tutor := self._tutors.get(action.tutor):
            ids["agent_id"] = tutor.agent_id
        if isinstance(action, DispatchTutor) and action.lesson is not None:
            ids["session_id"] = action.lesson.row.session_id
        return ids

    async def _clear_away(self, lesson: Interrupted) -> None:
        """Remove a lost tutor, which LiveKit would keep in the room for 20 s."""
        if lesson.agent is not None:
            await self._rooms.remove(lesson.row.room, lesson.agent)

    def _metadata(self, call: DispatchTutor, before: Iterable[Dispatch]) -> str:
        """Return the metadata for a job: that of earlier dispatches, or the handover."""
        asked = self._dispatch_state.asked(call.room).get(call.tutor)
        if asked is not None and asked.handover is not None and call.lesson is None:
            return pack(asked.handover, asked.user_id)
        payloads = (one.metadata for one in before)
        restored = call.lesson is not None
        return next((it for it in payloads if restored or not is_handover(it)), "")

    async def _read(self, names: Iterable[str]) -> list[_Room]:
        """Return the state of rooms, without those that cannot be read now.

        The ledger is read last, so that a lesson that has just ended is not started again.
        """
        answers = await asyncio.gather(*(self._room(name) for name in sorted(names)))
        rooms = {room.name: room for room in answers if room is not None}
        try:
            elsewhere = await self._ledger.claims_in(rooms) if rooms else {}
            closed = await self._ledger.closed_entries(rooms) if rooms else {}
        except LedgerError as error:
            self._metrics.rooms_failures.inc()
            log.warning("reconciler.rooms_unreachable", why=str(error))
            return []
        return [
            replace(room, elsewhere=elsewhere[name], closed_entries=closed[name])
            for name, room in rooms.items()
        ]

    async def _room(self, name: str) -> _Room | None:
        try:
            return await self._ask(name)
        except Exception as error:  # noqa: BLE001  # likewise
            log_fault("Reconciler.ask", error, room=name)
            return None

    async def _ask(self, name: str) -> _Room | None:
        read_at = self._monotonic()
        try:
            participants = await self._rooms.participants(name)
            # For a closed room, LiveKit would return an error after three seconds.
            dispatched = await self._rooms.dispatched(name) if participants else []
            self._lessons.see(name, participants)
            self._sweep.note(name, (one.sid for one in participants), self._monotonic())
            asked = self._dispatch_state.asked(name)
            handbacks = await self._ledger.handbacks(name) if asked else {}
        except (RoomsError, LedgerError) as error:
            self._metrics.rooms_failures.inc()
            log.warning("reconciler.rooms_unreachable", room=name, why=str(error))
            return None
        return _Room(
            name=name,
            participants=tuple(participants),
            dispatched=tuple(dispatched),
            handbacks=handbacks,
            read_at=read_at,
        )

    def _snapshot_of(self, room: _Room) -> RoomSnapshot | None:
        """Return the snapshot of a room, or None if it fails, so that other rooms continue."""
        try:
            return self._build_snapshot(room)
        except Exception as error:  # noqa: BLE001  # likewise
            log_fault("Reconciler.build_snapshot", error, room=room.name)
            return None

    def _build_snapshot(self, room: _Room) -> RoomSnapshot:
        interrupted = self._dispatch_state.interrupted(room.name)
        dead = {lesson.agent for lesson in interrupted}
        dead |= {*self._dispatch_state.lost_agents(room.name).values()}
        here = room.agents(but=dead)
        names = {tutor.agent_name: tutor.name for tutor in self._tutors.values()}
        taught = (
            self._dispatch_state.taught(room.name)
            | room.elsewhere.taught
            | (here & set(self._tutors))
        )
        closed_entries = self._dispatch_state.closed_entries(room.name).union(room.closed_entries)
        # Before the requests: they end if the specialist has taught on another host.
        self._dispatch_state.on_seen(
            room.name,
            taught=room.elsewhere.taught,
            coming=here | room.elsewhere.called,
            handbacks=room.handbacks,
        )
        learners = tuple(self._learners(room))
        return RoomSnapshot(
            room=room.name,
            learners=learners,
            # A called specialist is wanted only until its lesson has ended.
            wanted=frozenset(
                names[one.agent_name]
                for one in room.dispatched
                if one.agent_name in names and not is_handover(one.metadata)
            ),
            taught=taught,
            interrupted=interrupted,
            absent=tuple(self._absent(room.name, {one.user_id for one in learners})),
            refused=self._dispatch_state.refused(room.name),
            called=self._dispatch_state.called(room.name) | room.elsewhere.called,
            closed_entries=closed_entries,
            asked={tutor: it.ask for tutor, it in self._dispatch_state.asked(room.name).items()},
            since=self._sighted,
        )

    def _absent(self, room: str, present: set[str]) -> Iterable[AbsentLearner]:
        """Return this host's lessons in a room without their learner, and since when."""
        for row in self._lessons.running(room):
            if row.user_id in present:
                self._away.pop((room, row.id), None)
            else:
                since = self._away.setdefault((room, row.id), self._monotonic())
                yield AbsentLearner(row, since)

    def _learners(self, room: _Room) -> Iterable[PresentLearner]:
        agents = {one.agent_name for one in room.dispatched}
        ours = bool(agents) and agents <= {tutor.agent_name for tutor in self._tutors.values()}
        for one in sorted(room.participants, key=lambda p: p.joined_at):
            try:
                learner = verify_learner(one)
            except LearnerError:
                continue
            notified = self._is_notified(room, one)
            set_here, _ = self._notified.get((room.name, one.sid), (False, 0.0))
            yield PresentLearner(
                user_id=learner.user_id,
                identity=one.identity,
                entry=one.sid,
                joined_at=one.joined_at,
                seen_at=self._seen.setdefault((room.name, one.sid), self._monotonic()),
                notified=notified,
                notified_here=notified and (ours or set_here),
            )

    def _is_notified(self, room: _Room, learner: Participant) -> bool:
        """Return whether a learner has the waiting attribute, or gets it in a moment."""
        notified, at = self._notified.get((room.name, learner.sid), (False, -math.inf))
        if room.read_at - at < STALE_SECONDS:
            return notified
        return learner.attributes.get(WAITING) == "true"


def _by_room(actions: Iterable[Action]) -> Iterable[list[Action]]:
    """Group actions by room, in their order."""
    rooms: dict[str, list[Action]] = {}
    for action in actions:
        room = action.lesson.row.room if isinstance(action, Close | RequestStepOut) else action.room
        rooms.setdefault(room, []).append(action)
    return rooms.values()
