"""LiveKit's webhooks, used to prefetch lessons and reconcile earlier; they are optional."""

import asyncio
from collections.abc import Callable

import structlog

from loqua_host.errors import LearnerError, RoomsError
from loqua_host.link.dispatch_metadata import is_handover
from loqua_host.rooms.learners import Participant, verify_learner
from loqua_host.rooms.webhooks import WebhookEvent

from .decisions import DISPATCH_GRACE, Capacity
from .prefetcher import PREFETCH_SECONDS
from .services import Services

__all__ = ["WebhookEvents"]

log = structlog.get_logger()

WAKING = frozenset({"participant_joined", "participant_left", "room_finished"})
"""The events that wake the reconciler."""

WAKE_SECONDS = 0.25
"""Seconds within which all webhooks wake the reconciler once."""


class WebhookEvents:
    """Wake the reconciler, and prefetch lessons of expected jobs.

    A room is prefetched at most once in ten seconds, and no more rooms at a time than there is
    capacity for.

    Args:
        services: Its collaborators.
        prefetch: Starts to prefetch a lesson, for a room, a tutor and a learner's identity.
        capacity: Returns the free capacity.
    """

    def __init__(
        self,
        services: Services,
        prefetch: Callable[[str, str, str], None],
        capacity: Callable[[], Capacity],
    ) -> None:
        self._rooms = services.rooms
        self._dispatch_state = services.dispatch_state
        self._tutors = services.tutors
        self._tasks = services.tasks
        self._metrics = services.metrics
        self._prefetch = prefetch
        self._capacity = capacity
        self._expected: set[str] = set()
        self._waking = False

    def handle(self, event: WebhookEvent) -> None:
        """Prefetch the lessons that the event announces, and wake the reconciler."""
        self._metrics.webhooks.inc()
        log.debug("webhook.received", what=event.event)
        if event.event not in WAKING:
            return
        self._dispatch_state.changed_rooms.add(event.room)
        self._wake_soon()
        who = event.participant
        if event.event == "participant_joined" and who is not None and _can_learn(who):
            self._expect(event.room, who)

    def _expect(self, room: str, learner: Participant) -> None:
        if room in self._expected or len(self._expected) >= self._capacity().host:
            return
        self._expected.add(room)
        loop = asyncio.get_running_loop()
        loop.call_later(PREFETCH_SECONDS, self._expected.discard, room)
        # LiveKit dispatches no tutor to a learner who returns, so the reconciler must.
        loop.call_later(DISPATCH_GRACE + 2 * WAKE_SECONDS, self._dispatch_state.changed.set)
        self._tasks.create_task(self._look_ahead(room, learner))

    async def _look_ahead(self, room: str, learner: Participant) -> None:
        """Start to prefetch for dispatched tutors that have not joined the room yet."""
        try:
            called = await self._rooms.dispatched(room)
        except RoomsError as error:
            log.warning("webhook.unused", room=room, why=str(error))
            return
        names = {one.agent_name for one in called if not is_handover(one.metadata)}
        capacity = self._capacity()
        wanted = {
            tutor.name
            for tutor in self._tutors.values()
            if tutor.agent_name in names and capacity.fits(tutor.name)
        }
        for tutor in wanted - self._served(room, learner.sid):
            user_id, agent_id = learner.attributes["user_id"], self._tutors[tutor].agent_id
            log.info(
                "learner.prefetched", room=room, tutor=tutor, user_id=user_id, agent_id=agent_id
            )
            self._prefetch(room, tutor, learner.identity)

    def _served(self, room: str, entry: str) -> frozenset[str]:
        """Return the tutors that have joined or been dispatched, or whose lesson is over."""
        closed_entries = frozenset(
            tutor for who, tutor in self._dispatch_state.closed_entries(room) if who == entry
        )
        return (
            self._dispatch_state.taught(room) | self._dispatch_state.called(room) | closed_entries
        )

    def _wake_soon(self) -> None:
        if not self._waking:
            self._waking = True
            asyncio.get_running_loop().call_later(WAKE_SECONDS, self._wake)

    def _wake(self) -> None:
        self._waking = False
        self._dispatch_state.changed.set()


def _can_learn(participant: Participant) -> bool:
    try:
        verify_learner(participant)
    except LearnerError:
        return False
    return True
