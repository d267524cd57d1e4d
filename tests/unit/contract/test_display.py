"""The data of a lesson that a page shows, in its wire format."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from loqua_host import Correction, DueTopics, LessonReport, Progress, PronunciationScore, ScoredWord
from loqua_host.contract.display import LessonOutcome, LessonTopic, compose_message, parse_message
from loqua_host.contract.records import Ending

CORRECTION = Correction(
    text="Yo es estudiante.", start=3, end=5, corrected="soy", rule="subject_verb_agreement"
)
SCORE = PronunciationScore(
    text="Hello",
    score=81.5,
    words=(ScoredWord(word="Hello", score=81.5, start=0.2, end=0.8),),
)
OUTCOME = LessonOutcome(
    ending=Ending(reason="goal_reached", seconds=61.0),
    report=LessonReport(topics_covered=("food",), recommendations=("Say hello again",)),
)


@pytest.mark.parametrize(
    ("topic", "value"),
    [
        pytest.param(LessonTopic.CORRECTION, CORRECTION, id="correction"),
        pytest.param(LessonTopic.PRONUNCIATION, SCORE, id="pronunciation"),
        pytest.param(LessonTopic.DUE, DueTopics(topics=("travel",)), id="due"),
        pytest.param(LessonTopic.PROGRESS, Progress(words_learned=3), id="progress"),
        pytest.param(LessonTopic.OUTCOME, OUTCOME, id="outcome"),
    ],
)
def test_each_value_has_its_topic_and_is_read_back_from_it(
    topic: LessonTopic, value: BaseModel
) -> None:
    """A page finds the type by the topic."""
    sent_under, text = compose_message("lesson_1", value)
    assert sent_under is topic
    assert parse_message(topic, text) == value


def test_a_message_names_its_version_and_its_lesson() -> None:
    """For readers of other versions, and pages that have had several lessons."""
    _, text = compose_message("lesson_1", CORRECTION)
    assert json.loads(text) == {
        "version": 1,
        "lesson": "lesson_1",
        "body": {
            "text": "Yo es estudiante.",
            "start": 3,
            "end": 5,
            "corrected": "soy",
            "rule": "subject_verb_agreement",
            "message": "",
        },
    }


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param(2, 1, id="it ends before it begins"),
        pytest.param(-1, 2, id="it begins before the text"),
        pytest.param(0, 4, id="it ends after the text"),
    ],
)
def test_a_correction_is_about_a_part_of_the_text(start: int, end: int) -> None:
    """A page could not place any other."""
    with pytest.raises(ValidationError):
        Correction(text="Hey", start=start, end=end, corrected="Hi")


def test_another_topic_is_no_message_of_a_lesson() -> None:
    """Rooms have streams of others."""
    with pytest.raises(ValueError, match=r"lk\.chat"):
        parse_message("lk.chat", "{}")


@given(
    st.sampled_from(LessonTopic),
    st.text() | st.builds(json.dumps, st.dictionaries(st.text(), st.integers())),
)
def test_what_is_no_message_is_refused_as_a_value_error(topic: LessonTopic, text: str) -> None:
    """This holds for any data that a participant sends under the topic."""
    with pytest.raises(ValueError):  # noqa: PT011  # its message is pydantic's
        parse_message(topic, text)
