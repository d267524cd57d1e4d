"""A learner's history after progress and sessions."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from loqua_host.dev.api import DevApiSettings, create_app

FIGURES = {"phrases_practiced": 0, "grammar_points": []}


def of(progress: dict[str, Any], **figures: Any) -> dict[str, Any]:
    """Return the progress update with these figures, and nothing else learned."""
    return progress | {"data": {"status": "in_progress", "progress": FIGURES | figures}}


async def test_progress_counts_from_its_sessions_beginning(
    agent: Any, progress: dict[str, Any]
) -> None:
    """Two ticks of one session are not added up; those of two sessions are."""
    for session, words in [("sess_1", 3), ("sess_1", 5), ("sess_2", 4)]:
        await agent.post("progress", of(progress, words_learned=words) | {"sessionId": session})
    totals = (await agent.context()).json()["progress"]
    assert totals["words_learned"] == 150 + 5 + 4
    assert totals["total_sessions"] == 25


async def test_progress_without_a_session_counts_for_the_room(
    agent: Any, progress: dict[str, Any]
) -> None:
    """The session's id is optional; the token names the room."""
    del progress["sessionId"]
    for words in (2, 6):
        answer = await agent.post("progress", of(progress, words_learned=words))
    assert answer.json()["sessionId"] == "room_1"
    assert (await agent.context()).json()["progress"]["words_learned"] == 150 + 6


async def test_scores_change_the_mean_of_all_sessions(agent: Any, progress: dict[str, Any]) -> None:
    """25 sessions at 82 and one at 56 make 81."""
    await agent.post("progress", of(progress, words_learned=0, pronunciation_score=56))
    assert (await agent.context()).json()["progress"]["pronunciation_score_avg"] == 81


async def test_a_session_enters_the_history(agent: Any, record: dict[str, Any]) -> None:
    """Newest first, with its id, its day, its minutes and its topics."""
    await agent.post("sessions", record)
    context = (await agent.context()).json()
    assert context["session_history"][0] == {
        "session_id": "sess_1",
        "date": "2025-01-15T10:30:00Z",
        "duration_minutes": 30,
        "topics_covered": ["greetings", "travel"],
    }
    assert context["session_history"][1]["session_id"] == "sess_1736868600000_ana2"
    assert context["updated_at"] == "2025-01-15T10:30:00Z"


async def test_a_session_changes_the_totals(agent: Any, record: dict[str, Any]) -> None:
    """Sessions, minutes, words, grammar, achievements, the day and the streak."""
    await agent.post("sessions", record)
    totals = (await agent.context()).json()["progress"]
    assert totals == {
        "total_sessions": 26,
        "total_conversation_time": 780,
        "words_learned": 151,
        "phrases_practiced": 89,
        "pronunciation_score_avg": 82,
        "grammar_points_covered": ["present_tense", "articles"],
        "achievements_unlocked": ["first_week", "vocabulary_master", "first_conversation"],
        "last_session_date": "2025-01-15T10:30:00Z",
        "current_streak": 6,
    }


async def test_a_sessions_words_count_once(
    agent: Any, progress: dict[str, Any], record: dict[str, Any]
) -> None:
    """Words that progress has reported are not added again by the record."""
    await agent.post("progress", of(progress, words_learned=5))
    await agent.post("sessions", record)
    assert (await agent.context()).json()["progress"]["words_learned"] == 155


async def test_a_session_without_an_id_gets_one(agent: Any, record: dict[str, Any]) -> None:
    """Of the form that the guide shows, and the same in the history."""
    del record["sessionId"]
    session_id = (await agent.post("sessions", record)).json()["session_id"]
    assert session_id.startswith("sess_1736937000000_")
    assert (await agent.context()).json()["session_history"][0]["session_id"] == session_id


@pytest.mark.parametrize(("days", "streak"), [(0, 6), (1, 7), (2, 1)])
async def test_a_streak_is_days_in_a_row(
    agent: Any, record: dict[str, Any], clock: Any, days: int, streak: int
) -> None:
    """Ana comes on the day after her fifth, then the same day, the next, or too late."""
    await agent.post("sessions", record)
    clock.now += timedelta(days=days).total_seconds()
    await agent.exchange()
    await agent.post("sessions", record)
    assert (await agent.context()).json()["progress"]["current_streak"] == streak


async def test_a_learner_without_a_history_begins_one(anyone: Any, record: dict[str, Any]) -> None:
    """Chloé's first session."""
    agent = await anyone("loqua", "user_chloe").exchange()
    before = (await agent.context()).json()
    assert before["session_history"] == []
    assert before["progress"]["last_session_date"] is None
    await agent.post("sessions", record | {"userId": "user_chloe"})
    after = (await agent.context()).json()["progress"]
    assert (after["total_sessions"], after["current_streak"]) == (1, 1)


async def test_a_record_sent_twice_counts_twice_in_v1(agent: Any, record: dict[str, Any]) -> None:
    """The guide promises no idempotency, so a key changes nothing."""
    for _ in range(2):
        await agent.post("sessions", record, **{"Idempotency-Key": "k1"})
    assert (await agent.context()).json()["progress"]["total_sessions"] == 27


async def test_a_repeated_key_gets_the_first_answer_where_keys_are_honoured(
    settings: DevApiSettings, anyone: Any, clock: Any, record: dict[str, Any]
) -> None:
    """The same answer, nothing kept twice; another key is another record."""
    honouring = settings.model_copy(update={"honour_idempotency": True})
    transport = httpx.ASGITransport(app=create_app(honouring, clock=clock))
    agent = anyone("loqua", "user_ana")
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as agent.client:
        await agent.exchange()
        del record["sessionId"]
        first, again, other = [
            (await agent.post("sessions", record, **{"Idempotency-Key": key})).json()
            for key in ("k1", "k1", "k2")
        ]
        assert first == again
        assert other["session_id"] != first["session_id"]
        assert (await agent.context()).json()["progress"]["total_sessions"] == 27


async def test_learners_can_be_registered_and_put_back(agent: Any, record: dict[str, Any]) -> None:
    """A learner of the test's own, with defaults for all that it does not tell."""
    path = "/dev/learners/user_dana"
    assert (await agent.client.put(path, json={"display_name": "Dana"})).status_code == 200
    agent.user_id = "user_dana"
    await agent.exchange()
    await agent.post("sessions", record | {"userId": "user_dana"})
    await agent.client.put(path, json={"display_name": "Dana"})
    assert (await agent.context()).json()["progress"]["total_sessions"] == 0
