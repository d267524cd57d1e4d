"""The five hooks of a tutor.

A hook implementation names only the arguments that it needs, so that a minor release can add
arguments. The hooks of a plugin are called only for lessons of that plugin. A tutor with its own
settings declares `Tutor[MySettings]` and takes `Lesson[MySettings]`.
"""

from typing import TYPE_CHECKING

import pluggy

from .lesson import Lesson
from .records import Ending, LessonReport, Progress, Tick
from .tutor import Tutor

if TYPE_CHECKING:
    from livekit.agents import Agent

__all__ = ["PROJECT", "hookimpl"]

PROJECT = "loqua_host"
"""The plugin project and the entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Decorator that marks a function of a plugin as the implementation of the hook with its name."""


@hookspec
def register_tutor() -> Tutor:
    """Declare the tutor: a plain `def` without I/O, called when plugins are inspected.

    If it fails, the plugin is refused at start, and the others run.
    """
    raise NotImplementedError


@hookspec
async def create_agent(lesson: Lesson) -> "Agent":
    """Create the LiveKit agent that speaks with the learner.

    Called once per job, after the learner has been identified and before the voice session
    starts. Time limit: 10 s. If it fails, the learner hears an apology, and the lesson ends with a
    record.
    """
    raise NotImplementedError


@hookspec
async def on_user_ready(lesson: Lesson) -> None:
    """Greet the learner, who can hear the tutor now.

    Called once per job, after `create_agent`. Time limit: 10 s, without the time that the tutor
    speaks. If it fails, the learner hears an apology, and the lesson ends with a record. If the
    learner speaks meanwhile and does not hear the greeting, it is said again.
    """


@hookspec
async def on_progress_tick(lesson: Lesson, tick: Tick) -> Progress | None:
    """Return the progress since the start of the lesson, or None if there is nothing new.

    Called every 30 s while the lesson runs. Time limit: 5 s. A failure is logged and counted, and
    the lesson continues. After three consecutive failures, ticks stop.
    """


@hookspec
async def on_session_end(lesson: Lesson, ending: Ending) -> LessonReport | None:
    """Return a report of the lesson, from which the host writes the record.

    Called once at the end of a lesson, for any reason. If a process is killed or loses its room, it
    is called in the process that resumes the lesson. Time limit: 10 s. If it fails, the record is
    written from the last progress.

    If the learner has left and others wait for capacity, it is called with `learner_left` and the
    process ends. If the learner returns in time, another process resumes the lesson and calls it
    again. The last report counts.
    """
