"""The metadata of dispatches, and which dispatches stay."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.unit.lessons.host_under_test import WRITTEN, make_services

from loqua_host.contract.handoff import Handback, Handover
from loqua_host.errors import RoomsError
from loqua_host.lessons.decisions import Capacity
from loqua_host.lessons.dispatch_state import CALL_SECONDS, DispatchState
from loqua_host.lessons.metrics import LessonMetrics
from loqua_host.lessons.reconciler import Reconciler
from loqua_host.link.dispatch_metadata import find_handover, pack
from loqua_host.link.server import JobRef
from loqua_host.observability.metrics import Instruments
from loqua_host.records.ledger import LeaseClaims, LessonRow
from loqua_host.rooms.learners import Participant
from loqua_host.rooms.rooms import Dispatch, RoomCounts
from loqua_host.settings.host import HostSettings
from loqua_host.testing.tutors import running_tutor

NAME = "grammar-expert"
HANDOVER = Handover(tutor="conversation", focus="articles")
MARIA = Participant("maria", "standard", "María", {"user_id": "maria"}, False, 0.0, "PA_maria")
LOST = LessonRow("l1", "v1", "v1", "maria", "room", "grammar", "agent", 0.0)


@dataclass
class FakeLiveKit:
    """A room with a learner, its dispatches, and a ledger that grants every claim."""

    dispatches: list[Dispatch] = field(default_factory=list)
    sent: list[Dispatch] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    async def counts(self) -> dict[str, RoomCounts]:
        """List the room."""
        return {"room": RoomCounts(1, 0)}

    async def participants(self, _room: str) -> list[Participant]:
        """List who is in the room."""
        return [MARIA]

    async def dispatched(self, _room: str) -> list[Dispatch]:
        """List the room's dispatches."""
        return self.dispatches

    async def withdraw(self, _room: str, _agent_name: str) -> list[Dispatch]:
        """Take them back."""
        before, self.dispatches = self.dispatches, []
        return before

    async def dispatch(self, _room: str, dispatch: Dispatch) -> None:
        """Call an agent."""
        self.sent.append(dispatch)

    async def remove(self, _room: str, identity: str) -> None:
        """Remove a participant."""
        self.removed.append(identity)

    async def closed_entries(self, rooms: Iterable[str]) -> dict[str, set[tuple[str, str]]]:
        """Return no closed entries."""
        return {room: set() for room in rooms}

    async def claims_in(self, rooms: Iterable[str]) -> dict[str, LeaseClaims]:
        """Return no claims of other hosts."""
        return {room: LeaseClaims() for room in rooms}

    async def handbacks(self, _room: str) -> dict[str, Handback]:
        """Return no handbacks."""
        return {}

    async def claim(self, *_: object) -> bool:
        """Grant this host's call."""
        return True


class FakeLessons:
    """A host without running lessons."""

    def see(self, *_: object) -> None:
        """Observe a room."""

    def running(self, _room: str) -> list[LessonRow]:
        """List none."""
        return []

    async def step_out(self, *_: object) -> None:
        """Do nothing."""

    async def close(self, *_: object) -> None:
        """Close a lesson."""


@dataclass
class ReconcilerUnderTest:
    """A reconciler with its collaborators."""

    livekit: FakeLiveKit
    dispatch_state: DispatchState
    reconciler: Reconciler


@pytest.fixture
async def host(wall: Any) -> ReconcilerUnderTest:
    """Return a host in which the learner has been for a while."""
    livekit, dispatch_state = FakeLiveKit(), DispatchState(wall.now)
    services = make_services(
        rooms=livekit,
        ledger=livekit,
        dispatch_state=dispatch_state,
        tutors={"grammar": running_tutor("grammar", NAME, "agent", 5)},
        settings=lambda: HostSettings.model_validate(WRITTEN),
        clock=wall,
        metrics=LessonMetrics(Instruments()),
    )
    reconciler = Reconciler(
        services, lambda: Capacity(5, {"grammar": 5}), FakeLessons(), lambda _: None
    )
    await reconciler.look()
    wall.seconds += 60
    return ReconcilerUnderTest(livekit, dispatch_state, reconciler)


async def test_an_asked_specialists_job_is_handed_what_it_should_know(
    host: ReconcilerUnderTest,
) -> None:
    """Of the learner it was asked for."""
    with host.dispatch_state.asking("room", "grammar", "maria", HANDOVER):
        await host.reconciler.look()
    [sent] = host.livekit.sent
    assert sent.agent_name == NAME
    assert find_handover(sent.metadata, "maria") == HANDOVER


async def test_a_specialist_that_was_handed_over_to_is_not_wanted_for_good(
    host: ReconcilerUnderTest,
) -> None:
    """Its dispatch stays in LiveKit's list; the learner who comes again has not asked."""
    host.livekit.dispatches = [Dispatch(NAME, pack(HANDOVER, "maria"))]
    await host.reconciler.look()
    assert host.livekit.sent == []


async def test_a_dispatch_by_others_is_wanted_and_keeps_what_it_says(
    host: ReconcilerUnderTest,
) -> None:
    """Another learner's handover does not go along."""
    old = Dispatch(NAME, pack(HANDOVER, "ana"))
    host.livekit.dispatches = [old, Dispatch(NAME, "level=2")]
    await host.reconciler.look()
    assert host.livekit.sent == [Dispatch(NAME, "level=2")]


async def test_a_restored_specialist_is_handed_over_to_again(host: ReconcilerUnderTest) -> None:
    """LiveKit keeps the dispatch when host or job dies."""
    packed = pack(HANDOVER, "maria")
    host.livekit.dispatches = [Dispatch(NAME, packed)]
    host.dispatch_state.on_interrupted(LOST, "agent-1")
    await host.reconciler.look()
    assert host.livekit.sent == [Dispatch(NAME, packed)]


async def test_a_dead_tutor_is_removed_when_its_successors_job_is_accepted(
    host: ReconcilerUnderTest,
) -> None:
    """Neither before, as LiveKit would keep the successor silent for a while, nor long after."""
    host.dispatch_state.on_interrupted(LOST, "agent-1")
    await host.reconciler.look()
    await host.reconciler.look()
    assert host.livekit.removed == []
    host.dispatch_state.changed.clear()
    host.dispatch_state.on_accepted(JobRef("2", "room", "grammar"))
    assert host.dispatch_state.changed.is_set()
    await host.reconciler.look()
    await host.reconciler.look()
    assert host.livekit.removed == ["agent-1"]


async def test_a_dead_tutor_whose_successors_job_nobody_accepts_is_removed_all_the_same(
    host: ReconcilerUnderTest, wall: Any
) -> None:
    """Once the dispatch counts as lost."""
    host.dispatch_state.on_interrupted(LOST, "agent-1")
    await host.reconciler.look()
    wall.seconds += CALL_SECONDS
    await host.reconciler.look()
    assert host.livekit.removed == ["agent-1"]


async def test_a_room_that_cannot_be_asked_keeps_no_other_from_its_turn(
    host: ReconcilerUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiveKit removes the dead itself after a while."""

    async def fail(_room: str, _identity: str) -> None:
        raise RoomsError("no answer")

    monkeypatch.setattr(host.livekit, "remove", fail)
    host.dispatch_state.on_dead("elsewhere", "grammar", ["agent-0"])
    with host.dispatch_state.asking("room", "grammar", "maria", HANDOVER):
        await host.reconciler.look()
    assert len(host.livekit.sent) == 1


async def test_where_another_host_may_accept_the_job_a_dead_tutor_is_removed_before(
    host: ReconcilerUnderTest,
) -> None:
    """This one would not notice that it was accepted."""
    host.dispatch_state.shared = True
    host.dispatch_state.on_interrupted(LOST, "agent-1")
    await host.reconciler.look()
    assert len(host.livekit.sent) == 1
    assert host.livekit.removed == ["agent-1"]


async def test_a_dead_tutor_that_is_given_up_leaves_the_room_at_once(
    host: ReconcilerUnderTest,
) -> None:
    """Its caller waits for it to be gone, and LiveKit would keep it for 20 s."""
    gone = replace(LOST, tutor="spelling")
    host.dispatch_state.on_interrupted(gone, "agent-1")
    await host.reconciler.look()
    assert host.livekit.removed == ["agent-1"]
