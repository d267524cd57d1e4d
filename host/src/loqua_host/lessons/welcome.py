"""The host's answer to a job that joins."""

from opentelemetry import trace

from loqua_host.link.messages import EngineKind, Welcome
from loqua_host.records.ledger import MAX_CRASHES, LessonRow

from .language import language_code
from .prepared_lesson import PreparedLesson
from .stored_state import last_turns, tutor_state
from .tutors import RunningTutor

__all__ = ["language_of", "welcome"]


def language_of(prepared: PreparedLesson, own: str) -> str:
    """Return the language that a learner is taught, or the tutor's own if unknown."""
    return language_code(prepared.context.preferences.language_learning, own)


def welcome(
    row: LessonRow,
    prepared: PreparedLesson,
    tutor: RunningTutor,
    engines: dict[EngineKind, int],
) -> Welcome:
    """Return the welcome to a new or resumed lesson, with the tutor's own secrets."""
    language = language_of(prepared, tutor.language)
    return Welcome(
        lesson=row.id,
        session_id=row.session_id,
        visit=row.visit,
        room=row.room,
        agent_id=row.agent_id,
        learner=prepared.learner,
        context=prepared.context,
        language=language,
        mode=prepared.mode,
        resumed=row.restarts > 0,
        last_try=row.crashes + 1 >= MAX_CRASHES,
        seconds=row.seconds,
        progress=row.progress,
        state=tutor_state(row.state),
        turns=last_turns(row.state),
        secrets=dict(tutor.secrets),
        engines=engines,
        called=bool(row.called),
        traced=trace.get_current_span().is_recording(),
    )
