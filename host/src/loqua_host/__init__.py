"""The public API for authors of tutors.

Everything else in this package is private.
"""

from . import events
from .contract.handoff import Handback, Handover, Utterance
from .contract.hookspecs import hookimpl
from .contract.learner import Learner, LearnerContext, LearningProgress, PastSession, Preferences
from .contract.lesson import Lesson, current_lesson
from .contract.records import Ending, LessonReport, Mode, Performance, Progress, Tick, Word
from .contract.turns import Recognition, RecognizedWord, Turn, Turns
from .contract.tutor import Tutor
from .errors import HandoffError

__all__ = [
    "Ending",
    "Handback",
    "HandoffError",
    "Handover",
    "Learner",
    "LearnerContext",
    "LearningProgress",
    "Lesson",
    "LessonReport",
    "Mode",
    "PastSession",
    "Performance",
    "Preferences",
    "Progress",
    "Recognition",
    "RecognizedWord",
    "Tick",
    "Turn",
    "Turns",
    "Tutor",
    "Utterance",
    "Word",
    "current_lesson",
    "events",
    "hookimpl",
]
