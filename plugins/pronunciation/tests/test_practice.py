"""The course of a practice, without any voice."""

from itertools import accumulate, groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_host import Assessment, LearningProgress, LessonReport, Word
from loqua_tutor_pronunciation.exercises import Exercise, SpokenLanguage, load_language, plan
from loqua_tutor_pronunciation.levels import Level, estimate_level
from loqua_tutor_pronunciation.practice import (
    PracticeState,
    add_text,
    advance,
    current_text,
    is_done,
    is_expected,
    line,
    progress,
    report,
)

SPANISH = load_language("es")
ENGLISH = load_language("en")
START = PracticeState(exercises=plan(SPANISH, count=2, lessons_before=0))
DOG, HOUSE = (exercise.text for exercise in START.exercises)


def practice(*tries: str) -> PracticeState:
    """Return the state after these attempts."""
    *_, state = accumulate(tries, lambda state, text: advance(state, SPANISH, text), initial=START)
    return state


def test_a_sentence_is_given_to_repeat() -> None:
    """The first exercise comes without a verdict."""
    assert line(START, SPANISH) == f"Repite: {DOG}"


def test_a_right_try_is_praised_and_followed_by_the_next() -> None:
    """All words recognised: on to the next exercise."""
    assert line(practice(DOG), SPANISH) == f"¡Muy bien! Repite: {HOUSE}"


def test_a_miss_names_the_words_and_gives_a_second_try() -> None:
    """The learner hears what was not recognised."""
    missed = practice(DOG, "El casa es muy grande.")
    assert line(missed, SPANISH) == f"Casi. No he reconocido: La. Otra vez: {HOUSE}"


def test_there_is_no_third_try() -> None:
    """A second miss is let pass."""
    assert line(practice("hola", "hola"), SPANISH) == f"Seguimos. Repite: {HOUSE}"


def test_words_that_were_recognised_are_no_score() -> None:
    """A recogniser repairs what it hears: without a scorer nobody knows how it sounded."""
    state = practice(DOG, "El casa es muy grande.", HOUSE)
    assert is_done(state)
    assert progress(state).pronunciation_score is None
    assert report(state, SPANISH, None).pronunciation_practice_count == 0
    assert "10 de 11" in line(state, SPANISH)


def test_the_score_is_the_mean_of_the_scored_tries() -> None:
    """An exercise with two scored tries is one practice."""
    state = advance(START, SPANISH, "hola", Assessment.model_validate({"PronScore": 50}))
    state = advance(state, SPANISH, DOG, Assessment.model_validate({"PronScore": 81}))
    state = advance(state, SPANISH, HOUSE)
    assert progress(state).pronunciation_score == 65.5
    assert report(state, SPANISH, None).pronunciation_practice_count == 1


def test_nothing_tried_is_no_score() -> None:
    """None, not zero."""
    assert progress(START).pronunciation_score is None


def test_an_exercise_under_way_is_counted_once() -> None:
    """Exercises are counted, not tries."""
    assert progress(practice("hola")).phrases_practiced == 1
    assert progress(practice("hola", "hola")).phrases_practiced == 1


def test_the_report_says_what_happened() -> None:
    """Exercises, score, the words that were recognised, and those to practise."""
    state = practice(DOG, "El casa es muy grande.", HOUSE)
    assert report(state, SPANISH, "german") == LessonReport(
        progress=progress(state),
        topics_covered=("pronunciation",),
        new_vocabulary=(
            Word(word="perro", translation="Hund", language="es"),
            Word(word="casa", translation="Haus", language="es"),
        ),
        pronunciation_practice_count=0,
        recommendations=("Practise saying these words: La",),
        reasons={
            "Practise saying these words: La": ("not recognised at the first try: 1 of 11 words")
        },
    )


def test_a_word_that_was_never_recognised_is_not_learned() -> None:
    """Two misses of the word: it is not in the vocabulary."""
    state = practice("El gato corre por el parque.", "El gato corre por el parque.")
    assert report(state, SPANISH, None).new_vocabulary == ()


def test_later_lessons_go_on_where_earlier_ones_ended() -> None:
    """Lessons of two of a beginner's five exercises: the third starts over at the end."""
    lessons = [plan(SPANISH, count=2, lessons_before=before) for before in range(3)]
    mine = [it for it in SPANISH.exercises if it.level == "A1"]
    assert [*lessons[0], *lessons[1], *lessons[2]] == [*mine, mine[0]]


@pytest.mark.parametrize("level", ["A1", "A2", "B1", "B2"])
@pytest.mark.parametrize("language", [SPANISH, ENGLISH], ids=["es", "en"])
def test_sentences_are_of_the_learners_level(language: SpokenLanguage, level: Level) -> None:
    """A lesson of four has enough of each."""
    exercises = plan(language, count=4, lessons_before=1, level=level)
    assert {it.level for it in exercises} == {level}


def test_a_long_lesson_goes_on_with_the_levels_beside_it() -> None:
    """Then with the others: every sentence comes once."""
    exercises = plan(ENGLISH, count=30, lessons_before=0, level="B1")
    order = [level for level, _ in groupby(it.level for it in exercises)]
    assert order == ["B1", "A2", "B2", "A1"]
    assert {it.text for it in exercises} == {it.text for it in ENGLISH.exercises}


def test_drills_are_of_the_learners_level_where_there_are_some() -> None:
    """Other sounds have those of the nearest level."""
    exercises = plan(ENGLISH, count=4, lessons_before=0, level="B2", focus=("v", "s"))
    assert [it.level for it in exercises] == ["B1", "A1", "B2", "B2"]


@pytest.mark.parametrize(
    ("words", "level"),
    [(0, "A1"), (249, "A1"), (250, "A2"), (800, "B1"), (5000, "B2")],
    ids=str,
)
def test_the_level_is_estimated_from_the_words_learned(words: int, level: Level) -> None:
    """The API has no level."""
    assert estimate_level(LearningProgress(words_learned=words)) == level


def test_a_language_without_exercises_is_refused_with_what_to_do() -> None:
    """The error names the file to add."""
    with pytest.raises(LookupError, match=r"languages/tlh\.toml"):
        load_language("tlh")


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_exercise_contains_its_word(language: str) -> None:
    """The word to take along is one to say, and a drill is for sounds that the language has."""
    spoken = load_language(language)
    for exercise in (*spoken.exercises, *spoken.drills):
        assert exercise.word in exercise.text.casefold()
        assert all(map(spoken.has_sound, exercise.sounds))
    assert all(drill.sounds for drill in spoken.drills)


@pytest.mark.parametrize("language", ["en", "es"])
def test_each_sound_that_can_be_weak_can_be_drilled(language: str) -> None:
    """One that cannot would stay due, and take the place of others in all later lessons."""
    spoken = load_language(language)
    drilled = {sound for drill in spoken.drills for sound in drill.sounds}
    assert drilled == {*spoken.sounds, *spoken.advice}


@given(st.lists(st.sampled_from([DOG, HOUSE, "hola", "", "La casa"]), max_size=8))
def test_counts_never_fall_whatever_is_said(tries: list[str]) -> None:
    """Progress only grows, and the tutor always has something to say."""
    steps = list(
        accumulate(tries, lambda state, text: advance(state, SPANISH, text), initial=START)
    )
    for before, after in pairwise(map(progress, steps)):
        assert after.phrases_practiced >= before.phrases_practiced
        assert after.words_learned >= before.words_learned
    assert line(steps[-1], SPANISH)
    assert PracticeState.model_validate_json(steps[-1].model_dump_json()) == steps[-1]


def test_asked_words_come_each_in_a_sentence_and_alone() -> None:
    """An exercise that there is, or one made for the word; no more than a lesson has."""
    asked = plan(SPANISH, count=2, lessons_before=3, words=("ciudad", "zapato", "mesa"))
    assert [(one.word, one.text) for one in asked] == [
        ("ciudad", "El tren llega a la ciudad."),
        ("zapato", "Digo la palabra zapato."),
    ]


def test_an_asked_word_without_translation_is_practised_and_not_reported_as_learned() -> None:
    """The API wants a translation with each new word."""
    asked = plan(SPANISH, count=2, lessons_before=0, words=("zapato",))
    state = advance(PracticeState(exercises=asked), SPANISH, "Digo la palabra zapato.")
    assert is_done(state)
    reported = report(state, SPANISH, "english")
    assert (reported.new_vocabulary, reported.pronunciation_practice_count) == ((), 0)


def test_half_of_a_lesson_drills_the_sounds_in_focus_in_turns() -> None:
    """Two sounds, one drill each; the rest is for everybody."""
    exercises = plan(ENGLISH, count=4, lessons_before=0, focus=("v", "s"))
    assert [it.sounds for it in exercises] == [("v",), ("s",), (), ()]


def test_a_later_lesson_has_other_drills_of_the_same_sound() -> None:
    """They begin where the earlier lesson's ended."""
    first, second = (plan(ENGLISH, count=1, lessons_before=it, focus=("v",)) for it in (0, 1))
    assert first != second
    assert first[0].sounds == second[0].sounds == ("v",)


def test_what_was_not_recognised_comes_with_advice_by_its_spelling() -> None:
    """The first rule that fits a missed word; no number."""
    state = practice("El gato corre por el parque.")
    assert line(state, SPANISH).startswith("Casi. No he reconocido: perro. La erre de perro")
    assert line(state, SPANISH).endswith(f"Otra vez: {DOG}")
    assert state.scores == ()


def test_advice_is_about_two_sounds_at_most() -> None:
    """The second sentence has a third sound, about which nothing is said."""
    exercises = (Exercise(text="Mi niña."), Exercise(text="El perro."), Exercise(text="La calle."))
    state = PracticeState(exercises=exercises)
    for text in ("Mi", "Mi niña", "El", "El perro", "La"):
        state = advance(state, SPANISH, text)
    assert state.sounds == ("ñ", "rr")
    assert state.hint is None


def test_a_lesson_in_focus_corrects_no_third_sound() -> None:
    """Two were due, so that others wait."""
    state = START.model_copy(update={"focus": ("ñ", "j")})
    assert advance(state, SPANISH, "El gato corre por el parque.").hint is None


def test_a_report_names_weak_and_good_sounds_as_topics() -> None:
    """A drill that was right is good; a sound that was advised is weak."""
    drills = plan(SPANISH, count=2, lessons_before=0, focus=("ñ", "rr"))
    state = PracticeState(exercises=(drills[0], *START.exercises[:1]), focus=("ñ", "rr"))
    state = advance(state, SPANISH, drills[0].text)
    state = advance(state, SPANISH, "El gato corre por el parque.")
    reported = report(state, SPANISH, None)
    assert reported.topics_covered == ("pronunciation", "weak_sound_es_rr", "sound_es_ñ")


def test_a_third_sound_that_was_surely_wrong_is_kept_for_later_lessons() -> None:
    """The tutor does not mention it, but reports it, so that a later lesson practises it."""
    phoneme = {"Phoneme": "θ", "AccuracyScore": 80, "Substitution": 0.95}
    words = [{"Word": "think", "AccuracyScore": 80, "Phonemes": [phoneme]}]
    text = "I think it is late."
    state = advance(
        PracticeState(exercises=(Exercise(text=text),), focus=("v", "s")),
        ENGLISH,
        text,
        Assessment.model_validate({"PronScore": 80, "Words": words}),
    )
    assert (state.finding, state.sounds) == (None, ())
    assert report(state, ENGLISH, None).topics_covered == ("pronunciation", "weak_sound_en_θ")


def test_recognised_words_do_not_make_a_scored_sound_good() -> None:
    """If the scorer names sounds, only its scores count."""
    drill = plan(ENGLISH, count=1, lessons_before=0, focus=("v",))
    heard = advance(PracticeState(exercises=drill), ENGLISH, drill[0].text)
    scored = advance(
        PracticeState(exercises=drill),
        ENGLISH,
        drill[0].text,
        Assessment.model_validate({"PronScore": 81}),
    )
    assert (heard.good, scored.good) == ((), ("v",))


def test_a_text_of_the_learners_own_is_next() -> None:
    """The sentence that was on comes after it; the same text again changes nothing."""
    own = add_text(practice("hola"), "  Quiero\nun zapato. ")
    assert line(own, SPANISH) == "Repite: Quiero un zapato."
    assert add_text(own, "Quiero un zapato.") == own
    assert current_text(advance(own, SPANISH, "Quiero un zapato.")) == DOG


@pytest.mark.parametrize("text", ["", "?!", " "], ids=["empty", "no word", "blank"])
def test_a_text_without_words_is_no_exercise(text: str) -> None:
    """There is nothing to say."""
    assert add_text(START, text) == START


def test_own_texts_do_not_make_a_state_grow_without_end() -> None:
    """The host refuses a state of more than 16 kB."""
    state = START
    for number in range(100):
        state = add_text(state, f"{number} " + "palabra " * 36)
    assert len(state.model_dump_json()) < 16_000


def test_a_sentence_is_complete_when_each_word_was_recognised() -> None:
    """Then nothing has to follow it; at the end nothing is expected."""
    assert is_expected(START, DOG.upper())
    assert not is_expected(START, DOG.rpartition(" ")[0])
    assert not is_expected(practice(DOG, HOUSE), HOUSE)
