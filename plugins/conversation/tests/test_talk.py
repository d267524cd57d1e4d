"""The course of a conversation, without any voice."""

from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_host import LearnerContext, LessonReport, PastSession, Preferences, Word
from loqua_tutor_conversation.scenario import Scenario, choose, grammar_phrases, scenarios
from loqua_tutor_conversation.talk import Notes, hear, is_done, line, progress, report

CAFE = choose("es", "cafe", LearnerContext())
START = Notes(scenario="cafe")
TURNS = (
    "Hola, me llamo Ana.",
    "Una mesa para dos, por favor.",
    "Quiero un café con leche, por favor.",
    "Me gusta la comida española.",
    "Muchas gracias, hasta mañana.",
)


def talk(*turns: str) -> Notes:
    """The notes after these turns."""
    *_, notes = accumulate(turns, lambda notes, text: hear(notes, CAFE, text), initial=START)
    return notes


def test_the_first_question_opens_the_talk() -> None:
    """Before anything is said, the tutor asks the first question."""
    assert line(START, CAFE) == "¿Cómo te llamas?"


def test_an_answer_leads_to_the_next_question() -> None:
    """An answer to the point moves the talk on."""
    assert line(talk(TURNS[0]), CAFE) == CAFE.questions[1].ask


def test_something_else_gets_a_hint_once_and_then_the_talk_goes_on() -> None:
    """A learner who is lost is helped once and never stuck."""
    lost = talk(TURNS[0], "El perro corre.")
    assert line(lost, CAFE) == CAFE.questions[1].hint
    still_lost = hear(lost, CAFE, "El gato duerme.")
    assert line(still_lost, CAFE) == CAFE.questions[2].ask
    assert CAFE.questions[1].topic not in still_lost.topics


def test_the_talk_ends_with_a_goodbye() -> None:
    """After the last answer the scenario is done and closes politely."""
    done = talk(*TURNS)
    assert is_done(done, CAFE)
    assert line(done, CAFE) == CAFE.closing


def test_words_count_once_and_only_when_the_learner_used_them() -> None:
    """Progress has distinct target words of the learner, not the tutor's."""
    notes = talk("Me llamo café, café, cafés.")
    assert notes.words == ("café",)
    assert progress(notes).words_learned == 1


def test_parts_of_words_are_no_words() -> None:
    """A target word inside a longer word was not said."""
    assert talk("Me gusta la panadería y el mesero.").words == ()


def test_accents_and_case_do_not_matter() -> None:
    """A recogniser is unsure of accents; the learner is not to pay for it."""
    assert talk("UN CAFE").words == ("café",)


def test_the_report_says_what_happened() -> None:
    """Topics, vocabulary in the learner's language, grammar and advice come from the turns."""
    assert report(talk(*TURNS), CAFE, "english") == LessonReport(
        progress=progress(talk(*TURNS)),
        topics_covered=(
            "greetings",
            "restaurant",
            "ordering_food",
            "likes_and_dislikes",
            "farewells",
        ),
        new_vocabulary=(
            Word(word="mesa", translation="table", language="es"),
            Word(word="café", translation="coffee", language="es"),
            Word(word="leche", translation="milk", language="es"),
            Word(word="comida", translation="food", language="es"),
        ),
        grammar_points=("present_tense", "gustar"),
        recommendations=(
            "Use these words in a sentence: té, agua, zumo, pan",
            "Try the conversation 'directions'",
        ),
    )


def test_an_unfinished_talk_recommends_to_finish_it() -> None:
    """Who leaves early is asked to come back to it."""
    assert "Finish the conversation 'cafe'" in report(talk(TURNS[0]), CAFE, None).recommendations


def test_silence_is_no_phrase() -> None:
    """A turn in which nothing was recognised changes nothing."""
    assert talk("", " … ") == START


@given(st.lists(st.text(max_size=80), max_size=12))
def test_counts_never_fall_whatever_is_said(turns: list[str]) -> None:
    """Progress only grows, and the tutor always has something to say."""
    steps = list(accumulate(turns, lambda notes, text: hear(notes, CAFE, text), initial=START))
    for before, after in pairwise(steps):
        assert after.phrases >= before.phrases
        assert after.words[: len(before.words)] == before.words
        assert after.answered >= before.answered
        assert line(after, CAFE)


@given(st.lists(st.text(max_size=80), max_size=12))
def test_notes_survive_json(turns: list[str]) -> None:
    """What is kept for resuming is what there was."""
    notes = talk(*turns)
    assert Notes.model_validate_json(notes.model_dump_json()) == notes


def test_what_the_learner_talked_about_before_comes_last() -> None:
    """A scenario whose topics came up in a past session gives way to a new one."""
    past = PastSession(session_id="s", topics_covered=tuple(CAFE.topics))
    assert choose("es", "auto", LearnerContext(session_history=(past,))).name == "directions"


def test_the_focus_decides_between_equally_new_scenarios() -> None:
    """A learner who wants to travel gets directions."""
    context = LearnerContext(preferences=Preferences(focus_areas=("travel",)))
    assert choose("es", "auto", context).name == "directions"


def test_a_language_without_scenarios_is_refused_with_what_to_do() -> None:
    """The error names the language and the setting."""
    with pytest.raises(LookupError, match=r"'tlh'.*scenario"):
        choose("tlh", "auto", LearnerContext())


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda it: f"{it.language}-{it.name}")
def test_every_hint_shows_an_answer_to_the_point(scenario: Scenario) -> None:
    """What the tutor suggests to say would be taken as an answer."""
    notes = Notes(scenario=scenario.name)
    for question in scenario.questions:
        notes = hear(notes, scenario, question.hint)
        assert question.topic in notes.topics


@pytest.mark.parametrize("language", sorted({scenario.language for scenario in scenarios()}))
def test_every_language_has_grammar_phrases(language: str) -> None:
    """Grammar can be noticed in every language that has scenarios."""
    assert "present_tense" in grammar_phrases(language)
