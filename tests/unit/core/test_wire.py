"""The wire format: the guide's own examples, validation of requests, tolerance for responses."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from loqua_host.contract.learner import LearnerContext
from loqua_host.contract.records import Performance, Progress, SessionRecord, Word
from loqua_host.core import Caller, wire
from loqua_host.core.verdict import read_error
from loqua_host.core.wire import Answer
from loqua_host.errors import RefusedError, UnreachableError

CALLER = Caller("user-1", "room 1", "agent-1")
PROGRESS = Progress(
    words_learned=5,
    phrases_practiced=12,
    pronunciation_score=85,
    grammar_points=("present_tense", "articles"),
)
RECORD = SessionRecord(
    session_id="sess_1",
    duration_minutes=30,
    topics_covered=("greetings", "travel"),
    new_vocabulary=(Word(word="hello", translation="hola", language="es"),),
    grammar_points=("present_tense",),
    pronunciation_practice_count=15,
    overall_performance=Performance.GOOD,
    achievements=("first_conversation",),
    next_session_recommendations=("Focus on past tense verbs",),
)
CONTEXT = {
    "user_id": "user-1",
    "preferences": {
        "language_learning": "spanish",
        "native_language": "english",
        "learning_pace": "moderate",
        "focus_areas": ["pronunciation", "vocabulary"],
        "session_length_preference": 30,
    },
    "progress": {
        "total_sessions": 25,
        "total_conversation_time": 750,
        "words_learned": 150,
        "phrases_practiced": 89,
        "pronunciation_score_avg": 82,
        "grammar_points_covered": ["present_tense", "articles"],
        "achievements_unlocked": ["first_week", "vocabulary_master"],
        "last_session_date": "2025-01-14T15:30:00Z",
        "current_streak": 5,
    },
    "session_history": [
        {
            "session_id": "string",
            "date": "2025-01-14T15:30:00Z",
            "duration_minutes": 30,
            "topics_covered": ["greetings"],
        }
    ],
    "created_at": "2025-01-01T10:00:00Z",
    "updated_at": "2025-01-14T15:30:00Z",
    "accessed_by": {"agent_id": "string", "timestamp": "2025-01-15T10:30:00Z"},
}


def answer(document: Any) -> Answer:
    """Return an answer with this JSON."""
    return Answer({"date": "today"}, json.dumps(document).encode())


def sent(request: wire.Request[Any]) -> Any:
    """Return what a request's body says."""
    assert request.body is not None
    return json.loads(request.body)


def test_the_token_is_asked_for_in_the_guides_words() -> None:
    """Room, user and agent."""
    request = wire.user_token_request(CALLER, "key")
    assert (request.method, request.path) == ("POST", "/user-token")
    assert sent(request) == {"room_name": "room 1", "user_id": "user-1", "agent_id": "agent-1"}


def test_progress_goes_out_in_the_guides_words() -> None:
    """The example of the guide, number by number; whole numbers are sent whole."""
    request = wire.progress_request(CALLER, "sess_1", "in_progress", PROGRESS, "key")
    assert (request.method, request.path, request.key) == ("POST", "/progress", "key")
    assert sent(request) == {
        "userId": "user-1",
        "sessionId": "sess_1",
        "data": {
            "status": "in_progress",
            "progress": {
                "words_learned": 5,
                "phrases_practiced": 12,
                "pronunciation_score": 85,
                "grammar_points": ["present_tense", "articles"],
            },
        },
    }
    assert b"85.0" not in request.body


def test_a_score_that_is_not_known_is_not_sent() -> None:
    """None is no number."""
    request = wire.progress_request(CALLER, "sess_1", "completed", Progress(), "key")
    assert "pronunciation_score" not in sent(request)["data"]["progress"]


def test_a_record_goes_out_in_the_guides_words() -> None:
    """The example of the guide, field by field."""
    request = wire.session_request(CALLER, RECORD, "key", repeatable=False)
    assert (request.method, request.path, request.key) == ("POST", "/sessions", "key")
    assert sent(request) == {
        "userId": "user-1",
        "sessionId": "sess_1",
        "duration_minutes": 30,
        "topics_covered": ["greetings", "travel"],
        "new_vocabulary": [{"word": "hello", "translation": "hola", "language": "es"}],
        "grammar_points": ["present_tense"],
        "pronunciation_practice_count": 15,
        "overall_performance": "good",
        "achievements": ["first_conversation"],
        "next_session_recommendations": ["Focus on past tense verbs"],
    }
    assert b"30.0" not in request.body


def test_parts_of_minutes_are_sent_as_they_are() -> None:
    """Only whole minutes are sent as whole numbers."""
    half = RECORD.model_copy(update={"duration_minutes": 7.5})
    assert (
        sent(wire.session_request(CALLER, half, "key", repeatable=False))["duration_minutes"] == 7.5
    )


def test_health_and_context_are_asked_for_in_the_guides_words() -> None:
    """One learner each."""
    assert sent(wire.health_request(CALLER, "key")) == {"userId": "user-1"}
    request = wire.context_request(Caller("auth0|a:b", "room", "agent-1"))
    assert (request.method, request.path) == ("GET", "/user/auth0%7Ca%3Ab/context")


def test_only_a_record_may_do_harm_when_repeated() -> None:
    """Reads and cumulative progress are repeated blindly; a record where keys are honoured."""
    assert wire.context_request(CALLER).repeatable
    assert wire.user_token_request(CALLER, "key").repeatable
    assert wire.health_request(CALLER, "key").repeatable
    assert wire.progress_request(CALLER, "s", "failed", PROGRESS, "key").repeatable
    assert not wire.session_request(CALLER, RECORD, "key", repeatable=False).repeatable
    assert wire.session_request(CALLER, RECORD, "key", repeatable=True).repeatable


@pytest.mark.parametrize(
    "user_id", ["", "../admin", "a/b", "a?b", "a b", ".", "a\n", "ä", "x" * 129, "-"]
)
def test_a_user_id_that_could_lead_elsewhere_is_never_sent(user_id: str) -> None:
    """Not in a path, not in a body; the error names the field."""
    caller = Caller(user_id, "room", "agent-1")
    for request in (
        lambda: wire.context_request(caller),
        lambda: wire.health_request(caller, "key"),
        lambda: wire.user_token_request(caller, "key"),
        lambda: wire.progress_request(caller, "s", "completed", PROGRESS, "key"),
        lambda: wire.session_request(caller, RECORD, "key", repeatable=False),
    ):
        with pytest.raises(RefusedError, match="not sent: user_id: ") as refused:
            request()
        assert refused.value.status is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"words_learned": -1}, "data.progress.words_learned"),
        ({"pronunciation_score": 101}, "data.progress.pronunciation_score"),
        ({"pronunciation_score": float("nan")}, "data.progress.pronunciation_score"),
        ({"grammar_points": ("",)}, "data.progress.grammar_points.0"),
        ({"phrases_practiced": None}, "data.progress.phrases_practiced"),
    ],
)
def test_progress_out_of_range_is_not_sent(changes: dict[str, Any], field: str) -> None:
    """Also when it got past the contract's own checks."""
    broken = Progress.model_construct(**{**PROGRESS.model_dump(), **changes})
    with pytest.raises(RefusedError, match=f"not sent: {field}: "):
        wire.progress_request(CALLER, "s", "completed", broken, "key")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"overall_performance": "brilliant"}, "overall_performance"),
        ({"duration_minutes": -1}, "duration_minutes"),
        ({"duration_minutes": float("inf")}, "duration_minutes"),
        ({"topics_covered": ("a", "")}, "topics_covered.1"),
        ({"new_vocabulary": ({"word": "hello"},)}, "new_vocabulary.0.translation"),
        ({"session_id": ""}, "session_id"),
        ({"session_id": "a\nb"}, "session_id"),
    ],
)
def test_a_record_the_api_would_refuse_is_not_sent(changes: dict[str, Any], field: str) -> None:
    """Enums, ranges, required fields and members of arrays."""
    broken = SessionRecord.model_construct(**{**RECORD.model_dump(), **changes})
    with pytest.raises(RefusedError, match=f"not sent: .*{field}: "):
        wire.session_request(CALLER, broken, "key", repeatable=False)


@pytest.mark.parametrize("missing", ["duration_minutes", "overall_performance", "session_id"])
def test_a_record_without_a_required_field_is_not_sent(missing: str) -> None:
    """The field is named."""
    fields = RECORD.model_dump()
    del fields[missing]
    with pytest.raises(RefusedError, match=f"not sent: {missing}: Field required"):
        wire.session_request(
            CALLER, SessionRecord.model_construct(**fields), "key", repeatable=False
        )


def test_a_status_the_api_does_not_know_is_not_sent() -> None:
    """The enum is the guide's."""
    with pytest.raises(RefusedError, match=r"data\.status"):
        wire.progress_request(CALLER, "s", "finished", PROGRESS, "key")  # type: ignore[arg-type]


def test_the_guides_context_is_understood() -> None:
    """Every field of the example that a tutor may see."""
    context = wire.context_request(CALLER).read(answer(CONTEXT))
    assert type(context) is LearnerContext
    assert context == LearnerContext.model_validate(
        {name: CONTEXT[name] for name in ("preferences", "progress", "session_history")}
    )
    assert context.progress.current_streak == 5


def test_what_makes_no_sense_costs_its_own_field_only() -> None:
    """An unknown pace, a null list, a session without an id: the rest is believed."""
    document = {
        **CONTEXT,
        "preferences": {
            "native_language": "english",
            "learning_pace": "breakneck",
            "focus_areas": None,
        },
        "progress": "none yet",
        "session_history": [{"topics_covered": []}, {"session_id": "s", "date": "soon"}, 7],
    }
    document["session_history"].append({"session_id": "kept"})
    context = wire.context_request(CALLER).read(answer(document))
    assert context.preferences.native_language == "english"
    assert context.preferences.learning_pace is None
    assert context.preferences.focus_areas == ()
    assert context.progress.total_sessions == 0
    assert [past.session_id for past in context.session_history] == ["s", "kept"]
    assert context.session_history[0].date is None


def test_a_text_that_was_cut_inside_of_a_character_costs_that_text_only() -> None:
    """The text may be a value, in a list, or a key, whether the host reads it or not."""
    body = rb"""{"user_id": "user-1", "display_name": "Mia \ud83d", "\ud83d": {"\ude00": 1},
        "preferences": {"language_learning": "spanish", "native_language": "eng\udc00",
                        "focus_areas": ["viajes \ud83d", "m\u00fasica \ud83c\udfb5"]},
        "progress": {"achievements_unlocked": ["a", "\ud83d"], "last_session_date": "\ud83d"},
        "session_history": [{"session_id": "s", "topics_covered": ["\ud83d", "greetings"]},
                            {"session_id": "\ud83d"}]}"""
    context = wire.context_request(CALLER).read(Answer({}, body))
    assert context.preferences.language_learning == "spanish"
    assert context.preferences.native_language is None
    assert context.preferences.focus_areas == ("música 🎵",)
    assert context.progress.achievements_unlocked == ("a",)
    assert [past.topics_covered for past in context.session_history] == [("greetings",)]
    assert LearnerContext.model_validate_json(context.model_dump_json()) == context


@pytest.mark.parametrize(
    ("part", "read"),
    [
        ({"progress": {"achievements_unlocked": ["a", None]}}, "a"),
        ({"progress": {"achievements_unlocked": [["a"], "a", {}, 7, None]}}, "a"),
        ({"session_history": [{"session_id": "a", "topics_covered": None}]}, "a"),
        ({"session_history": [{"session_id": "a", "topics_covered": [None, 1]}]}, "a"),
        ({"session_history": [None, [], {}, {"session_id": None}, {"session_id": "a"}]}, "a"),
        ({"session_history": [{"session_id": "a", "date": {}, "duration_minutes": "x"}]}, "a"),
        ({"session_history": [{"session_id": "a", "duration_minutes": 10**400}]}, "a"),
        ({"session_history": [{"session_id": 17}]}, "17"),
    ],
)
def test_what_is_wrong_further_in_costs_only_what_is_wrong(part: dict[str, Any], read: str) -> None:
    """A member of a list, a field of an entry: the guard against doubles sees the session."""
    context = wire.context_request(CALLER).read(answer({"user_id": "user-1", **part}))
    names = context.progress.achievements_unlocked or [
        past.session_id for past in context.session_history
    ]
    assert list(names) == [read]


@pytest.mark.parametrize("score", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 5000])
def test_numbers_beyond_all_sense_cost_themselves_only(score: str) -> None:
    """Bare, as Python and Go write them, and as texts; a count of 10^30 is none either."""
    for written in (score, f'"{score}"'):
        body = f"""{{"user_id": "user-1", "x": {written}, "progress": {{
            "words_learned": {written}, "pronunciation_score_avg": {written},
            "total_conversation_time": {written}, "current_streak": "5",
            "total_sessions": {10**30}, "phrases_practiced": -1}}}}"""
        progress = wire.context_request(CALLER).read(Answer({}, body.encode())).progress
        assert progress == LearnerContext().progress.model_copy(update={"current_streak": 5})


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"user_id": "user-1", "preferences": {"language_learning": "spanish"}}',
        (
            b'{"user_id": "user-2", "user_id": "user-1", "preferences": {"language_learning": "?"},'
            b' "preferences": {"language_learning": "spanish"}}'
        ),
        (
            b'{"user_id": "user-1", "name": "Jos\xe9", "preferences": {"language_learning":'
            b' "spanish", "native_language": "fran\xe7ais"}}'
        ),
        b'{"user_id": "user-1", "x": ' + b"[" * 20_000 + b"]" * 20_000 + b',"preferences": '
        b'{"language_learning": "spanish", "native_language": '
        + b'{"a":' * 2000
        + b"1"
        + b"}" * 2000
        + b"}}",
    ],
    ids=["byte order mark", "a key twice", "another encoding", "nested without end"],
)
def test_odd_but_readable_json_is_read(body: bytes) -> None:
    """All readable values arrive."""
    preferences = wire.context_request(CALLER).read(Answer({}, body)).preferences
    assert (preferences.language_learning, preferences.native_language) == ("spanish", None)


@pytest.mark.parametrize(
    "body",
    [
        b"null", b"5", b'"user-1"', b"[]", b"", b"{", b"{}", b"[" * 100_000, b"[" * 2000 + b'"',
        b'{"user_id": null}', b'{"user_id": ["user-1"]}', b'{"user_id": "user-1\\ud83d"}',
    ],
)  # fmt: skip
def test_what_is_no_context_is_not_taken_for_one(body: bytes) -> None:
    """Whose it is must be said."""
    with pytest.raises(ValueError):  # noqa: PT011  (whatever its words)
        wire.context_request(CALLER).read(Answer({}, body))


def test_a_user_id_that_is_kept_as_a_number_is_the_learners() -> None:
    """Some services have numeric ids; the number must be the learner's."""
    caller = Caller("42", "room", "agent-1")
    assert wire.context_request(caller).read(answer({"user_id": 42})) == LearnerContext()
    with pytest.raises(ValueError, match="another user"):
        wire.context_request(caller).read(answer({"user_id": 43}))


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2025-01-14T15:30:00Z", "2025-01-14T15:30:00Z"),
        ("2025-01-14T15:30:00", "2025-01-14T15:30:00Z"),
        ("2025-01-14 15:30:00.123456789", "2025-01-14T15:30:00.123456Z"),
        ("2025-01-14T17:30:00+02:00", "2025-01-14T17:30:00+02:00"),
        ("2025-01-14", "2025-01-14T00:00:00Z"),
        (1736868600, "2025-01-14T15:30:00Z"),
        (1736868600000, "2025-01-14T15:30:00Z"),
        (1736868600.5, "2025-01-14T15:30:00.500000Z"),
        ("1736868600", "2025-01-14T15:30:00Z"),
        ("Tue, 14 Jan 2025 15:30:00 GMT", "2025-01-14T15:30:00Z"),
        ("Tue, 14 Jan 2025 15:30:00 -0000", "2025-01-14T15:30:00Z"),
        ("Mon, 00 Jan 0000 99:99:99 GMT", None),
        ("Tue, 14 Jan 2025 15:30:00 +9999999999", None),
        ("0000-00-00 00:00:00", None),
        ("soon", None), ("", None), (None, None), ([], None), (10**30, None), (True, None),
    ],
)  # fmt: skip
def test_dates_are_read_in_the_usual_forms(written: object, moment: str | None) -> None:
    """Each with a zone; a date that is none costs the date only."""
    past = {"session_id": "s", "date": written, "topics_covered": ["travel"]}
    document = {"user_id": "user-1", "session_history": [past]}
    (read,) = wire.context_request(CALLER).read(answer(document)).session_history
    assert read.model_dump(mode="json")["date"] == moment
    assert read.topics_covered == ("travel",)


def test_other_answers_are_read_in_the_same_way() -> None:
    """A wrong field costs itself only."""
    taken = rb'{"success": true, "message": "\ud83d", "x": NaN}'
    wire.progress_request(CALLER, "s", "completed", PROGRESS, "key").read(Answer({}, taken))
    healthy = b'\xef\xbb\xbf{"permissions": ["user.progress", null, "\\ud83d"], "x": -Infinity}'
    assert wire.health_request(CALLER, "key").read(Answer({}, healthy)) == {"user.progress"}
    refused = rb'{"error": {"code": "NO_USER", "message": "no \ud83d", "field": null}, "t": NaN}'
    assert str(read_error(refused)) == "NO_USER"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[])),  # halves of characters, too
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(
    preferences=json_values
    | st.dictionaries(st.sampled_from([*CONTEXT["preferences"]]), json_values),
    progress=json_values | st.dictionaries(st.sampled_from([*CONTEXT["progress"]]), json_values),
    history=json_values | st.lists(st.dictionaries(st.just("session_id"), json_values)),
)
@example(preferences={}, progress={"current_streak": 10**400}, history=[[]])
def test_no_context_whatever_of_the_right_learner_is_lost_whole(
    preferences: object, progress: object, history: object
) -> None:
    """Fuzzed: garbage in any place leaves a context that can be taught with."""
    document = {
        "user_id": "user-1",
        "preferences": preferences,
        "progress": progress,
        "session_history": history,
    }
    context = wire.context_request(CALLER).read(Answer({}, json.dumps(document).encode()))
    assert LearnerContext.model_validate_json(context.model_dump_json()) == context


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
@example(b'{"user_id": "user-2"}')
@example(b'{"success": false}')
@example(b'{"success": "true"}')
@example(b'{"permissions": "all"}')
@example(b"")
def test_no_body_whatever_is_believed_or_breaks_the_reader(body: bytes) -> None:
    """Fuzzed: what is not the answer is a ValueError and nothing else."""
    for request in (
        wire.context_request(CALLER),
        wire.health_request(CALLER, "key"),
        wire.user_token_request(CALLER, "key"),
        wire.progress_request(CALLER, "s", "completed", PROGRESS, "key"),
    ):
        with pytest.raises(ValueError):  # noqa: PT011  (whatever its words)
            request.read(Answer({}, body))


def test_another_learners_context_is_never_believed() -> None:
    """Not even when all else is right."""
    with pytest.raises(ValueError, match="another user"):
        wire.context_request(CALLER).read(answer({**CONTEXT, "user_id": "user-2"}))


def test_the_token_answer_comes_with_its_date() -> None:
    """The API's clock is read beside the token."""
    document = {
        "encrypted_token": "iv:data",
        "user_id": "user-1",
        "room_name": "room 1",
        "expires_in": 3600,
        "issued_at": "2025-01-15T10:30:00Z",
        "issued_to": "agent-1",
    }
    value, date = wire.user_token_request(CALLER, "key").read(answer(document))
    assert (value.encrypted_token, value.expires_in, date) == ("iv:data", 3600, "today")
    for wrong in (None, "soon", [], float("nan"), "Infinity"):
        value, _ = wire.user_token_request(CALLER, "key").read(
            answer({**document, "expires_in": wrong})
        )
        assert value.expires_in is None
    for needed in ("encrypted_token", "user_id", "room_name", "issued_to"):
        with pytest.raises(ValidationError):
            wire.user_token_request(CALLER, "key").read(answer({**document, needed: None}))


def test_permissions_are_understood() -> None:
    """The guide's example."""
    document = {"status": "healthy", "permissions": ["user.progress", "session.create"]}
    assert wire.health_request(CALLER, "key").read(answer(document)) == {
        "user.progress",
        "session.create",
    }


@pytest.mark.parametrize("status", ["unhealthy", "Unhealthy", "down", "error", "critical"])
def test_an_api_that_says_it_is_unhealthy_is_believed(status: str) -> None:
    """It counts as no usable answer, although its status is 200."""
    document = {"status": status, "permissions": ["user.progress"]}
    with pytest.raises(UnreachableError, match=f"says that it is {status.lower()}"):
        wire.health_request(CALLER, "key").read(answer(document))


@pytest.mark.parametrize("status", ["healthy", "OK", "degraded", "", None, 7])
def test_a_status_without_trouble_in_it_is_healthy(status: object) -> None:
    """A field that makes no sense costs that field only."""
    document = {"status": status, "permissions": ["user.progress"]}
    assert wire.health_request(CALLER, "key").read(answer(document)) == {"user.progress"}
