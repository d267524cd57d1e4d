"""The grammar tutor's corrections on the learner's page."""

from loqua_host import Correction
from loqua_host.testing import LessonScript, Says, play_lesson


def test_a_mistake_is_shown_at_its_word_with_the_rule() -> None:
    """The page needs no grammar of its own."""
    shown = play_lesson(LessonScript(tutor="grammar", steps=(Says("Yo es estudiante."),))).shown
    assert [it.model_dump(exclude={"message"}) for it in shown] == [
        {
            "text": "Yo es estudiante.",
            "start": 3,
            "end": 5,
            "corrected": "soy",
            "rule": "subject_verb_agreement",
        }
    ]
    assert all(isinstance(it, Correction) and it.message for it in shown)
