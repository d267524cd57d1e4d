"""The test kit for authors of tutors.

A lesson's script lists what happens and what is expected. `play_lesson` runs it on virtual time,
with the host's own code and without a server, in milliseconds.
"""

from .player import LessonFailedError
from .replies import CallsTool
from .result import LessonResult
from .script import LessonExpectations, LessonScript, ScriptError, read_script
from .steps import (
    FailApi,
    Joins,
    KillJob,
    Leaves,
    RestartHost,
    Returns,
    Says,
    StaysSilent,
    TutorCalls,
    TutorSays,
    Types,
)
from .suite import TutorSuite
from .virtual_lesson import play_lesson

__all__ = [
    "CallsTool",
    "FailApi",
    "Joins",
    "KillJob",
    "Leaves",
    "LessonExpectations",
    "LessonFailedError",
    "LessonResult",
    "LessonScript",
    "RestartHost",
    "Returns",
    "Says",
    "ScriptError",
    "StaysSilent",
    "TutorCalls",
    "TutorSays",
    "TutorSuite",
    "Types",
    "play_lesson",
    "read_script",
]
