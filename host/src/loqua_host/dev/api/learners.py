"""Learners and their histories, updated as sessions arrive; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain

from pydantic import AwareDatetime, BaseModel, ConfigDict

from .models import (
    AnySessionRecord,
    PreferencesBody,
    ProgressFigures,
    SessionSummary,
    Text,
    Totals,
)

_HISTORY_LENGTH = 50
_FIRST_OF_JANUARY = datetime(2025, 1, 1, 10, tzinfo=UTC)


class RegisteredLearner(BaseModel):
    """A learner as registered: identity, preferences and history."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    email: Text = "learner@example.com"
    display_name: Text = "A learner"
    preferences: PreferencesBody = PreferencesBody()
    progress: Totals = Totals()
    session_history: tuple[SessionSummary, ...] = ()
    created_at: AwareDatetime = _FIRST_OF_JANUARY
    updated_at: AwareDatetime = _FIRST_OF_JANUARY


@dataclass(frozen=True, slots=True)
class HeldSession:
    """A session record as it was accepted."""

    session_id: str
    record: AnySessionRecord
    at: datetime

    def summary(self) -> SessionSummary:
        """Return the session as a context lists it."""
        return SessionSummary(
            session_id=self.session_id,
            date=self.at,
            duration_minutes=self.record.duration_minutes,
            topics_covered=self.record.topics_covered,
        )


@dataclass(slots=True)
class Study:
    """A learner's arrivals: the last figures of each session, and the session records."""

    learner: RegisteredLearner
    updated_at: datetime
    figures: dict[str, ProgressFigures] = field(default_factory=dict)
    sessions: list[HeldSession] = field(default_factory=list)

    def history(self) -> tuple[SessionSummary, ...]:
        """Return the latest sessions, newest first."""
        arrived = (session.summary() for session in reversed(self.sessions))
        return (*arrived, *self.learner.session_history)[:_HISTORY_LENGTH]

    def totals(self) -> Totals:
        """Return the learner's progress: the registered history plus what arrived."""
        before, records = self.learner.progress, [held.record for held in self.sessions]
        figures = self.figures.values()
        return Totals(
            total_sessions=before.total_sessions + len(records),
            total_conversation_time=before.total_conversation_time
            + sum(record.duration_minutes for record in records),
            words_learned=before.words_learned + self._words(),
            phrases_practiced=before.phrases_practiced
            + sum(figure.phrases_practiced for figure in figures),
            pronunciation_score_avg=_mean_score(before, figures),
            grammar_points_covered=_union(
                before.grammar_points_covered,
                *(figure.grammar_points for figure in figures),
                *(record.grammar_points for record in records),
            ),
            achievements_unlocked=_union(
                before.achievements_unlocked, *(record.achievements for record in records)
            ),
            last_session_date=self.sessions[-1].at if self.sessions else before.last_session_date,
            current_streak=_streak(before, (held.at for held in self.sessions)),
        )

    def _words(self) -> int:
        """Return the words by the last figures, or by the vocabulary if a session has none."""
        unreported = (held for held in self.sessions if held.session_id not in self.figures)
        return sum(figure.words_learned for figure in self.figures.values()) + sum(
            held.record.words for held in unreported
        )


def _union(*lists: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(lists)))


def _mean_score(before: Totals, figures: Iterable[ProgressFigures]) -> float | None:
    """Return the mean over earlier sessions and the new ones that have a score."""
    scored = (figure.pronunciation_score for figure in figures)
    scores = [score for score in scored if score is not None]
    if not scores:
        return before.pronunciation_score_avg
    earlier = 0 if before.pronunciation_score_avg is None else before.total_sessions
    total = (before.pronunciation_score_avg or 0) * earlier + sum(scores)
    return round(total / (earlier + len(scores)), 1)


def _streak(before: Totals, dates: Iterable[datetime]) -> int:
    """Return the number of consecutive days with a session, up to the last of them."""
    streak, last = before.current_streak, before.last_session_date
    for date in dates:
        days = (date.date() - last.date()).days if last else None
        if days != 0:
            streak = streak + 1 if days == 1 else 1
        last = date
    return streak


def _past(session_id: str, day: int, minutes: int, *topics: str) -> SessionSummary:
    date = datetime(2025, 1, day, 15, 30, tzinfo=UTC)
    return SessionSummary(
        session_id=session_id, date=date, duration_minutes=minutes, topics_covered=topics
    )


INVENTED: Mapping[str, RegisteredLearner] = {
    "user_ana": RegisteredLearner(
        email="ana@example.com",
        display_name="Ana",
        preferences=PreferencesBody(focus_areas=("pronunciation", "vocabulary")),
        progress=Totals(
            total_sessions=25,
            total_conversation_time=750,
            words_learned=150,
            phrases_practiced=89,
            pronunciation_score_avg=82,
            grammar_points_covered=("present_tense", "articles"),
            achievements_unlocked=("first_week", "vocabulary_master"),
            last_session_date=datetime(2025, 1, 14, 15, 30, tzinfo=UTC),
            current_streak=5,
        ),
        session_history=(
            _past("sess_1736868600000_ana2", 14, 30, "greetings"),
            _past("sess_1736782200000_ana1", 13, 25, "travel", "restaurant"),
        ),
    ),
    "user_ben": RegisteredLearner(
        email="ben@example.com",
        display_name="Ben",
        preferences=PreferencesBody(
            language_learning="english",
            native_language="german",
            learning_pace="fast",
            focus_areas=("pronunciation",),
            session_length_preference=15,
        ),
        progress=Totals(
            total_sessions=4,
            total_conversation_time=60,
            words_learned=31,
            phrases_practiced=22,
            pronunciation_score_avg=64,
            achievements_unlocked=("first_conversation",),
            last_session_date=datetime(2025, 1, 10, 15, 30, tzinfo=UTC),
            current_streak=1,
        ),
        session_history=(_past("sess_1736523000000_ben1", 10, 15, "work"),),
    ),
    "user_chloe": RegisteredLearner(
        email="chloe@example.com",
        display_name="Chloé",
        preferences=PreferencesBody(
            native_language="french", learning_pace="slow", focus_areas=("grammar",)
        ),
    ),
}
"""Fictitious learners: Ana has a long history, Ben a short one, Chloé none."""
