"""Shared collaborators of lessons: the services that they call and the state that they read."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from loqua_host.core import LoquaApi
from loqua_host.core.clock import Clock
from loqua_host.records.delivery import Delivery
from loqua_host.records.ledger import Ledger
from loqua_host.rooms.rooms import Rooms
from loqua_host.settings.host import HostSettings

from .dispatch_state import DispatchState
from .metrics import LessonMetrics
from .tutors import RunningTutor

__all__ = ["Services"]


@dataclass(frozen=True, slots=True)
class Services:
    """The collaborators of this host's lessons, opened by the host and closed by it.

    Attributes:
        rooms: LiveKit's rooms.
        api: The Loqua API.
        ledger: Where lessons and the outbox are stored.
        delivery: Sends what is in the outbox.
        dispatch_state: Which tutors were called, taught or lost, by room.
        tutors: The running tutors by name; the mapping changes with config/.
        settings: Returns the settings that are in force.
        tasks: Owns what outlives a link: prefetching, and tokens until delivery.
        clock: Wall and monotonic time.
        metrics: Where lessons are counted.
    """

    rooms: Rooms
    api: LoquaApi
    ledger: Ledger
    delivery: Delivery
    dispatch_state: DispatchState
    tutors: Mapping[str, RunningTutor]
    settings: Callable[[], HostSettings]
    tasks: asyncio.TaskGroup
    clock: Clock
    metrics: LessonMetrics
