"""The five hooks of a tutor.

A hook implementation names only the arguments it needs, so that a hook can grow arguments
in a minor release. Hooks of one plugin see the lessons of that plugin alone. A tutor with settings
of its own declares `Tutor[MySettings]` and takes `Lesson[MySettings]`.
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
"""Marks a function of a plugin as the implementation of the hook of that name."""


@hookspec
def register_tutor() -> Tutor:
    """Declare the tutor. Plain `def` without I/O, called when plugins are inspected.

    If it fails, that plugin is refused at start and the others go on.
    """
    raise NotImplementedError


@hookspec
async def create_agent(lesson: Lesson) -> "Agent":
    """Create the LiveKit agent that speaks with the learner.

    Called once a lesson, after the learner is known and before the voice session starts;
    10 s. If it fails, the learner hears an apology and the lesson ends with a record.
    """
    raise NotImplementedError


@hookspec
async def on_user_ready(lesson: Lesson) -> None:
    """Greet: the voice session runs and the learner hears what is said now.

    Called once a lesson, after `create_agent`; 10 s, not counting what is being said. If it
    fails, the lesson ends politely with a record. What is said here is said again where the
    learner was speaking and did not hear it.
    """


@hookspec
async def on_progress_tick(lesson: Lesson, tick: Tick) -> Progress | None:
    """Return how far the learner has come since the lesson began; None says nothing new.

    Called every 30 s while the lesson runs; 5 s. A failure is logged and counted and the
    lesson goes on; after three in a row its ticks stop.
    """


@hookspec
async def on_session_end(lesson: Lesson, ending: Ending) -> LessonReport | None:
    """Report what the lesson was about; the host writes the record from it.

    Called exactly once a lesson, whatever ends it; a process that is killed, or loses its room,
    leaves it to the one that goes on with the lesson; 10 s. If it fails, the record is written
    from the last progress.

    Where the learner has left and others wait for a place, it is called with `learner_left` and
    the process ends; if the learner returns in time, another goes on with the lesson and calls it
    again, and the later report counts.
    """
