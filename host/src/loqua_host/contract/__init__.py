"""The contract between host and tutors: hooks, `Tutor`, `Lesson`, reports."""

from loqua_host import events
from loqua_host.errors import HandoffError

from .display import Correction, DueTopics, PronunciationScore, ScoredSound, ScoredWord
from .handoff import Handback, Handover, Utterance
from .hookspecs import hookimpl
from .learner import Learner, LearnerContext, LearningProgress, PastSession, Preferences
from .lesson import Lesson, current_lesson
from .pronunciation import AssessedSound, AssessedWord, Assessment, PronunciationScorer
from .recorder import Recorder
from .records import Ending, LessonReport, Mode, Performance, Progress, Tick, Word
from .turns import Recognition, RecognizedWord, Turn, Turns
from .tutor import Tutor

__all__ = [
    "AssessedSound",
    "AssessedWord",
    "Assessment",
    "Correction",
    "DueTopics",
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
    "PronunciationScore",
    "PronunciationScorer",
    "Recognition",
    "RecognizedWord",
    "Recorder",
    "ScoredSound",
    "ScoredWord",
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
