"""The lines of the demo's learners, and the records that the API must receive.

An offline voice and recogniser pass the lines word for word: each was recognised correctly fifty
times of fifty, at other levels, noises and bit rates of Opus each time. Measure others with
tests/bench/demo_recognition.py ("My sister lives in London" was correct 43 times, "Quiero un café
con leche" 41, "La casa es muy grande" 47).
They have no commas, at whose pauses a turn could end; learners' mistakes in them are on purpose.
What is expected was counted from the lines by hand.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

__all__ = [
    "LESSONS",
    "SCRIPTED",
    "ExpectedProgress",
    "ExpectedRange",
    "ExpectedRecord",
    "ExpectedSession",
    "ScriptedLesson",
    "mismatches",
]

SCRIPTED = (
    ("conversation", None),
    ("grammar", "grammar-specialist"),
    ("pronunciation", "pronunciation-specialist"),
)
"""Plugin and agent name of the lessons' tutors; None is the one dispatched automatically."""


@dataclass(frozen=True, slots=True)
class ExpectedRange:
    """Bounds of a number, both included: a line's score, and whether it comes in time, varies."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ExpectedProgress:
    """The last progress of a lesson, in the API's names."""

    words_learned: int
    phrases_practiced: int
    pronunciation_score: ExpectedRange | None
    grammar_points: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExpectedSession:
    """The record of a lesson, in the API's names; vocabulary as word, translation, language."""

    topics_covered: tuple[str, ...]
    new_vocabulary: tuple[tuple[str, str, str], ...]
    grammar_points: tuple[str, ...]
    pronunciation_practice_count: int | ExpectedRange
    overall_performance: str | frozenset[str]
    next_session_recommendations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExpectedRecord:
    """The expected record of one lesson.

    Attributes:
        specialist: Whose lesson it was if it was not the first of the visit: its id ends so.
        progress: The last progress.
        session: The record.
    """

    specialist: str | None
    progress: ExpectedProgress
    session: ExpectedSession


@dataclass(frozen=True, slots=True)
class ScriptedLesson:
    """A learner's visit to a room.

    Attributes:
        name: Short and unique; names the room.
        user_id: A learner whom the dev API knows, who learns `language`.
        language: ISO 639-1.
        lines: What the learner says, turn by turn, to the tutor it came for.
        records: What the API must receive.
        enters_with: The specialist that the learner's own token names.
        called: The specialist that is called into the room after the learner came.
    """

    name: str
    user_id: str
    language: str
    lines: tuple[str, ...]
    records: tuple[ExpectedRecord, ...]
    enters_with: str | None = None
    called: str | None = None

    @property
    def tutors(self) -> frozenset[tuple[str, str | None]]:
        """The plugin and agent name of each tutor that it takes."""
        names = {self.enters_with} if self.enters_with else {None, self.called}
        return frozenset((plugin, name) for plugin, name in SCRIPTED if name in names)


_NOTHING_SAID = ExpectedRecord(
    specialist=None,
    progress=ExpectedProgress(0, 0, None, ()),
    session=ExpectedSession(
        topics_covered=(),
        new_vocabulary=(),
        grammar_points=(),
        pronunciation_practice_count=0,
        overall_performance="fair",
        next_session_recommendations=(
            "Use these words in a sentence: mesa, café, té, leche",
            "Finish the conversation 'cafe'",
        ),
    ),
)

CONVERSATION = ScriptedLesson(
    name="conversation",
    user_id="user_ana",
    language="es",
    lines=(
        "Quiero ir a la playa.",  # a review: it is long since Ana talked about travel
        "Me llamo Ana.",
        "Una mesa para dos personas.",
        "Quiero tomar un café con leche.",
        "Me gusta la comida española.",
        "Muchas gracias y hasta mañana.",
    ),
    records=(
        ExpectedRecord(
            specialist=None,
            progress=ExpectedProgress(
                words_learned=3,  # mesa is known from her session about a restaurant
                phrases_practiced=6,
                pronunciation_score=None,
                grammar_points=("present_tense", "gustar"),
            ),
            session=ExpectedSession(
                topics_covered=(
                    "travel",
                    "greetings",
                    "restaurant",
                    "ordering_food",
                    "likes_and_dislikes",
                    "farewells",
                ),
                new_vocabulary=(
                    ("café", "coffee", "es"),
                    ("leche", "milk", "es"),
                    ("comida", "food", "es"),
                ),
                grammar_points=("present_tense", "gustar"),
                pronunciation_practice_count=0,
                overall_performance="good",
                next_session_recommendations=(
                    "Use these words in a sentence: té, agua, zumo, pan",
                    "Try the conversation 'directions'",
                ),
            ),
        ),
    ),
)

PRONUNCIATION = ScriptedLesson(
    name="pronunciation",
    user_id="user_ben",
    language="en",
    enters_with="pronunciation-specialist",
    lines=(
        "I like to read book.",  # one word of five missed
        "I like to read books.",
        "The weather is very nice today.",
        "I would like a cup of tea.",
        "Thank you very much.",
    ),
    records=(
        ExpectedRecord(
            specialist=None,
            progress=ExpectedProgress(
                words_learned=4,
                phrases_practiced=4,
                pronunciation_score=ExpectedRange(75, 94.9),
                grammar_points=(),
            ),
            session=ExpectedSession(
                topics_covered=("pronunciation",),
                new_vocabulary=(
                    ("read", "lesen", "en"),
                    ("weather", "Wetter", "en"),
                    ("cup", "Tasse", "en"),
                    ("thank", "danken", "en"),
                ),
                grammar_points=(),
                pronunciation_practice_count=ExpectedRange(1, 4),  # a busy machine scores late
                overall_performance=frozenset({"good", "excellent"}),  # excellent begins at 85
                next_session_recommendations=("Practise saying these words: books",),
            ),
        ),
    ),
)

GRAMMAR = ScriptedLesson(
    name="grammar",
    user_id="user_chloe",
    language="es",
    called="grammar-specialist",
    lines=(
        "Yo es estudiante.",
        "Yo soy estudiante.",
        "Me gusta los libros.",
        "Me gustan los libros.",
        "Es una casa muy grande.",
    ),
    records=(
        _NOTHING_SAID,
        ExpectedRecord(
            specialist="grammar-specialist",
            progress=ExpectedProgress(
                words_learned=0,
                phrases_practiced=5,
                pronunciation_score=None,
                grammar_points=(
                    "present_tense",
                    "subject_verb_agreement",
                    "gustar",
                    "noun_adjective_agreement",
                ),
            ),
            session=ExpectedSession(
                topics_covered=("self_introduction", "likes_and_dislikes", "home"),
                new_vocabulary=(),
                grammar_points=(
                    "present_tense",
                    "subject_verb_agreement",
                    "gustar",
                    "noun_adjective_agreement",
                ),
                pronunciation_practice_count=0,
                overall_performance="needs_improvement",
                next_session_recommendations=(
                    (
                        "Le verbe s'accorde avec son sujet: yo soy, ella es "
                        "(subject_verb_agreement: 1/2)"
                    ),
                    (
                        "Avec gustar, le verbe s'accorde avec la chose qui plaît: "
                        "me gustan los libros (gustar: 1/2)"
                    ),
                ),
            ),
        ),
    ),
)

LESSONS = (CONVERSATION, PRONUNCIATION, GRAMMAR)
"""The demo's lessons."""


def mismatches(lesson: ScriptedLesson, records: Mapping[str, Any]) -> list[str]:
    """Compare what the API received with what the script says; empty if it is the same.

    Args:
        lesson: The script.
        records: Arrivals by kind (`progress`, `sessions`), oldest first, each with `user_id`
            and the request's body as `payload`.
    """
    sessions = _payloads(records["sessions"], lesson.user_id)
    progress = _payloads(records["progress"], lesson.user_id)
    faults = [
        fault
        for expected in lesson.records
        for fault in _compare_lesson(expected, sessions, progress)
    ]
    if len(sessions) != len(lesson.records):
        faults.append(f"{len(sessions)} records arrived, expected {len(lesson.records)}")
    return [f"{lesson.name}: {fault}" for fault in faults]


def _payloads(arrivals: Iterable[Mapping[str, Any]], user_id: str) -> list[Mapping[str, Any]]:
    return [arrival["payload"] for arrival in arrivals if arrival["user_id"] == user_id]


def _compare_lesson(
    expected: ExpectedRecord,
    sessions: list[Mapping[str, Any]],
    progress: list[Mapping[str, Any]],
) -> list[str]:
    whose = expected.specialist or "the visit"
    session = next((it for it in sessions if _is_of(expected, it)), None)
    last = next((it["data"] for it in reversed(progress) if _is_of(expected, it)), None)
    if session is None or last is None:
        missing = "record" if session is None else "progress"
        return [f"no {missing} of {whose} arrived"]
    faults = [] if last["status"] == "completed" else [f"the last progress is {last['status']}"]
    faults += _compare(expected.progress, last["progress"])
    faults += _compare(expected.session, _with_plain_words(session))
    return [f"{fault} ({whose})" for fault in faults]


def _is_of(expected: ExpectedRecord, payload: Mapping[str, Any]) -> bool:
    _, _, specialist = str(payload["sessionId"]).partition(".")
    return specialist == (expected.specialist or "")


def _with_plain_words(session: Mapping[str, Any]) -> dict[str, Any]:
    sent = session.get("vocabulary", session.get("new_vocabulary", ()))  # v2 and v1
    words = [(it["word"], it["translation"], it["language"]) for it in sent]
    return {**session, "new_vocabulary": words}


def _compare(
    expected: ExpectedProgress | ExpectedSession, received: Mapping[str, Any]
) -> list[str]:
    values = {field.name: getattr(expected, field.name) for field in fields(expected)}
    return [
        f"{name} is {received.get(name)!r}, expected {value!r}"
        for name, value in values.items()
        if not _fits(received.get(name), value)
    ]


def _fits(received: Any, expected: Any) -> bool:
    if isinstance(expected, ExpectedRange):
        return received is not None and expected.low <= received <= expected.high
    if isinstance(expected, frozenset):
        return received in expected
    return bool(_plain(received) == _plain(expected))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | list) else value
