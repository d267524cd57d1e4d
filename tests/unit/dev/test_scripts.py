"""The demo's scripts, compared with the tutors' reports."""

from copy import deepcopy
from dataclasses import fields
from types import ModuleType
from typing import Any
from unittest.mock import AsyncMock

import pytest
from livekit.agents import AgentSession, StopResponse, llm

import loqua_tutor_conversation
import loqua_tutor_grammar
import loqua_tutor_pronunciation
from loqua_host import Assessment, Learner, LearnerContext, Lesson, LessonReport
from loqua_host.dev.api.learners import INVENTED
from loqua_host.dev.scripts import (
    LESSONS,
    ExpectedProgress,
    ExpectedRange,
    ExpectedRecord,
    ExpectedSession,
    ScriptedLesson,
    mismatches,
)
from loqua_host.records.achievements import judge_performance
from loqua_tutor_pronunciation.tutor import PronunciationTutor

Records = dict[str, Any]

TUTORS: dict[str | None, ModuleType] = {
    None: loqua_tutor_conversation,
    "pronunciation-specialist": loqua_tutor_pronunciation,
    "grammar-specialist": loqua_tutor_grammar,
}


def arrivals(script: ScriptedLesson, *reports: tuple[ExpectedRecord, Records, Records]) -> Records:
    """Return what the dev API lists after these progresses and records have arrived."""
    records: Records = {"progress": [], "sessions": []}
    for expected, progress, session in reports:
        whose = {"userId": script.user_id, "sessionId": session_id(expected)}
        data = {"status": "completed", "progress": progress}
        for kind, payload in (("progress", {"data": data}), ("sessions", session)):
            records[kind].append({"user_id": script.user_id, "payload": whose | payload})
    return records


def session_id(expected: ExpectedRecord) -> str:
    """Return the host's name of a lesson: the visit, and for a later lesson its specialist."""
    return "sess_1_abc" + (f".{expected.specialist}" if expected.specialist else "")


def as_expected(script: ScriptedLesson) -> Records:
    """Return arrivals that match the script."""
    return deepcopy(
        arrivals(
            script,
            *(
                (record, as_sent(record.progress), words_as_sent(as_sent(record.session)))
                for record in script.records
            ),
        )
    )


def as_sent(expected: ExpectedProgress | ExpectedSession) -> Records:
    """Return what is expected, with numbers within their bounds."""
    values = {field.name: getattr(expected, field.name) for field in fields(expected)}
    return {name: _received(value) for name, value in values.items()}


def _received(expected: object) -> object:
    if isinstance(expected, ExpectedRange):
        return expected.high
    return min(expected) if isinstance(expected, frozenset) else expected


def words_as_sent(session: Records) -> Records:
    """Return vocabulary as the API's objects."""
    names = ("word", "translation", "language")
    words = [dict(zip(names, word, strict=True)) for word in session["new_vocabulary"]]
    return {**session, "new_vocabulary": words}


async def teach(script: ScriptedLesson, tutor: ModuleType, lines: tuple[str, ...]) -> LessonReport:
    """Pass these lines to a tutor, recognised exactly, and report."""
    context = LearnerContext.model_validate(INVENTED[script.user_id].model_dump())
    lesson = Lesson(
        id="lesson",
        visit="visit",
        room="room",
        learner=Learner(user_id=script.user_id, identity=script.user_id),
        context=context,
        language=script.language,
        settings=tutor.register_tutor().settings(),
        session=AgentSession(),
    )
    lesson.agent = await tutor.create_agent(lesson)
    await lesson.session.start(lesson.agent)
    await tutor.on_user_ready(lesson)
    for text in lines:
        message = llm.ChatMessage(role="user", content=[text])
        try:
            await lesson.agent.on_user_turn_completed(llm.ChatContext.empty(), message)
        except StopResponse:
            continue
    await lesson.session.aclose()
    report = await tutor.on_session_end(lesson)
    assert isinstance(report, LessonReport)
    return report


def as_reported(report: LessonReport) -> tuple[Records, Records]:
    """Return the progress and the record that the host makes of a report."""
    assert report.progress is not None
    session = report.model_dump(mode="json") | {
        "overall_performance": judge_performance(report, report.progress).value.value,
        "next_session_recommendations": list(report.recommendations),
    }
    return report.progress.model_dump(mode="json"), session


@pytest.mark.parametrize("script", LESSONS, ids=lambda script: script.name)
async def test_tutors_that_hear_the_lines_report_what_is_expected(
    script: ScriptedLesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every number of the script but the score of the sound follows from its lines."""
    scored = AsyncMock(return_value=Assessment.model_validate({"PronScore": 88}))
    monkeypatch.setattr(PronunciationTutor, "_score", scored)
    came_for = script.called or script.enters_with
    reports = []
    for expected in script.records:
        own = expected.specialist or script.enters_with
        lines = script.lines if own == came_for else ()
        reports.append((expected, *as_reported(await teach(script, TUTORS[own], lines))))
    assert mismatches(script, arrivals(script, *reports)) == []


@pytest.mark.parametrize("script", LESSONS, ids=lambda script: script.name)
def test_what_says_the_same_has_no_mismatch(script: ScriptedLesson) -> None:
    """Lists for tuples and objects for words make no difference."""
    assert mismatches(script, as_expected(script)) == []


@pytest.mark.parametrize("script", LESSONS, ids=lambda script: script.name)
@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("progress", "words_learned", 99),
        ("progress", "phrases_practiced", 99),
        ("progress", "pronunciation_score", 12.5),
        ("progress", "grammar_points", ["magic"]),
        ("sessions", "topics_covered", ["magic"]),
        ("sessions", "new_vocabulary", [{"word": "a", "translation": "b", "language": "es"}]),
        ("sessions", "grammar_points", ["magic"]),
        ("sessions", "pronunciation_practice_count", 99),
        ("sessions", "overall_performance", "fair"),
        ("sessions", "next_session_recommendations", ["magic"]),
    ],
)
def test_each_difference_is_named(
    script: ScriptedLesson, kind: str, name: str, value: object
) -> None:
    """The lesson, the field, what came and what was expected."""
    records = as_expected(script)
    payload = records[kind][-1]["payload"]
    (payload["data"]["progress"] if kind == "progress" else payload)[name] = value
    (fault,) = mismatches(script, records)
    assert fault.startswith(f"{script.name}: {name} is ")


def test_a_record_that_did_not_arrive_is_named() -> None:
    """The error lists each expected lesson and the number of records."""
    script = LESSONS[-1]
    faults = mismatches(script, {"progress": [], "sessions": []})
    assert len(faults) == 3
    assert "no record of grammar-specialist arrived" in faults[1]


def test_a_record_that_arrived_twice_is_a_mismatch() -> None:
    """Once means once."""
    script = LESSONS[0]
    records = as_expected(script)
    records["sessions"] *= 2
    assert mismatches(script, records) == ["conversation: 2 records arrived, expected 1"]


def test_the_last_progress_says_that_the_lesson_is_over() -> None:
    """A lesson that was left in progress is a mismatch."""
    script = LESSONS[0]
    records = as_expected(script)
    records["progress"][0]["payload"]["data"]["status"] = "in_progress"
    (fault,) = mismatches(script, records)
    assert "the last progress is in_progress" in fault


def test_other_learners_do_not_matter() -> None:
    """The learners identify the records of three concurrent lessons."""
    together: Records = {"progress": [], "sessions": []}
    for script in LESSONS:
        for kind, arrived in as_expected(script).items():
            together[kind] += arrived
    assert [fault for script in LESSONS for fault in mismatches(script, together)] == []
