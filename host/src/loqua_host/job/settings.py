"""What a job process is started with."""

from dataclasses import dataclass
from typing import Any

from loqua_host.contract.engines import Engines
from loqua_host.contract.sentences import Sentences
from loqua_host.settings.lessons import AudioInput, LessonLimits
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
        audio_input: Whose speech and chat it gets.
        settings: The tutor's own settings, as config has them.
        link: The host's end of the link.
        lesson: How long a lesson and its parts may take.
        sentences: What is said then.
        traced: Whether the host wants the job's spans.
    """

    tutor: str
    agent_id: str
    plugin: str | None
    agent: str | None
    automatic: bool
    audio_input: AudioInput
    settings: dict[str, Any]
    engines: Engines
    link: SocketHandle
    lesson: LessonLimits
    sentences: Sentences
    traced: bool
