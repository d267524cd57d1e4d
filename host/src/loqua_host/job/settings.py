"""What a job process is started with."""

from dataclasses import dataclass
from typing import Any

from loqua_host.contract.engines import Engines, HookLimits
from loqua_host.contract.sentences import Sentences
from loqua_host.sockets import SocketHandle

__all__ = ["JobSettings"]


@dataclass(frozen=True, slots=True)
class JobSettings:
    """What a job process is started with; holds no secret.

    Attributes:
        tutor: The tutor's name in config/tutors.
        agent_id: Who it is towards the Loqua API, for its log.
        plugin: The entry point of its plugin, or None when `agent` is given.
        agent: A LiveKit agent class as module:Class, hosted without a plugin.
        automatic: Whether it joins every new room, and so yields to specialists.
        hears_everyone: Whether it hears all identified learners, not its own alone.
        settings: The tutor's own settings, as config has them.
        link: The host's end of the link.
        learner_timeout: Seconds to wait for a learner.
        tick_every: Seconds between progress ticks.
        failing_ticks: Failed ticks in a row after which they stop.
        grace: Seconds to wait for a learner who left.
        ask_after: Seconds of silence after which a learner is asked.
        end_after: Seconds of silence after that which end the lesson.
        longest: Seconds taught that no lesson exceeds.
        sentences: What is said then.
        traced: Whether the host wants the job's spans.
    """

    tutor: str
    agent_id: str
    plugin: str | None
    agent: str | None
    automatic: bool
    hears_everyone: bool
    settings: dict[str, Any]
    engines: Engines
    limits: HookLimits
    link: SocketHandle
    learner_timeout: float
    tick_every: float
    failing_ticks: int
    grace: float
    ask_after: float
    end_after: float
    longest: float
    sentences: Sentences
    traced: bool
