"""The course of a conversation, without any voice."""

from dataclasses import replace
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_host import LearnerContext, RecognizedWord
from loqua_tutor_conversation.conversation import advance, is_whole_answer
from loqua_tutor_conversation.course import Course, LearnerProfile, Pace, turns_of
from loqua_tutor_conversation.language import Speciality
from loqua_tutor_conversation.replies import ask_open, help_in_silence, question
from loqua_tutor_conversation.report import progress, report
from loqua_tutor_conversation.selection import choose
from loqua_tutor_conversation.state import MAX_CORRECTIONS, ConversationState, OpenQuestion
from loqua_tutor_conversation.steps import LearnerUtterance, UtteranceResult
from loqua_tutor_conversation.triggers import HelpRequest

SPECIALISTS: dict[Speciality, str] = {"grammar": "g", "pronunciation": "p"}
COURSE = Course("es", LearnerProfile("en"), ("cafe", "family"), SPECIALISTS)
CAFE = choose("es", "cafe", LearnerContext())
START = ConversationState(scenario="cafe", plan=turns_of(CAFE))
TURNS = (
    "Hola, me llamo Ana.",
    "Una mesa para dos, por favor.",
    "Quiero un café con leche, por favor.",
    "Me gusta la comida española.",
    "Muchas gracias, hasta mañana.",
)


def talk(*turns: str, course: Course = COURSE, start: ConversationState = START) -> UtteranceResult:
    """Return the last step of these turns."""
    return talk_heard(*map(LearnerUtterance, turns), course=course, start=start)


def talk_heard(
    *turns: LearnerUtterance, course: Course = COURSE, start: ConversationState = START
) -> UtteranceResult:
    """Return the last step of these turns."""
    *_, step = accumulate(
        turns,
        lambda step, heard: advance(step.state, course, heard),
        initial=UtteranceResult(start, ()),
    )
    return step


def shown(step: UtteranceResult) -> list[str]:
    """Return the topics of the answers so far."""
    return [it.what for it in step.state.answers]


def test_the_first_question_opens_the_talk() -> None:
    """Before anything is said, the tutor asks the first question."""
    assert question(START, COURSE) == "¿Cómo te llamas?"


def test_an_answer_leads_to_the_next_question() -> None:
    """With a reaction to it."""
    assert talk(TURNS[0]).reply == ("Mucho gusto, Ana. ¿Para cuántas personas quieres la mesa?")


@pytest.mark.parametrize(
    ("text", "taken_up"),
    [
        ("El perro corre.", "Ah, perro."),
        ("Ayer llovió.", "Has dicho: Ayer llovió."),
        ("Bla bla bla bla bla bla bla bla bla bla.", "Perdona, no te he entendido bien."),
    ],
    ids=["known_word", "short", "long"],
)
def test_an_unexpected_answer_is_taken_up_and_led_back(text: str, taken_up: str) -> None:
    """By what was recognised of it; it does not count."""
    step = talk(TURNS[0], text)
    assert step.reply.startswith(taken_up)
    assert "¿Para cuántas personas quieres la mesa?" in step.reply
    assert step.reply.endswith("Puedes decir: Una mesa para dos, por favor.")
    assert shown(step) == ["greetings"]


def test_a_learner_who_is_lost_is_helped_in_their_language_and_never_stuck() -> None:
    """A hint, the native language, and then the answer and the next question."""
    second = talk(TURNS[0], "El perro corre.", "El gato duerme.")
    assert "Ask for a table and say for how many people." in second.reply
    third = talk("El perro corre.", start=second.state)
    assert third.reply == (
        "No pasa nada. Se dice así: Una mesa para dos, por favor. Seguimos. ¿Qué quieres tomar?"
    )
    assert shown(third) == ["greetings"]


@pytest.mark.parametrize(
    "text",
    ["No entiendo.", "¿Puedes repetir, por favor?", "Más despacio, por favor.", "I don't know."],
    ids=["understand", "repeat", "slowly", "native"],
)
def test_who_asks_for_help_with_a_question_gets_it_and_has_not_answered(text: str) -> None:
    """Even if a polite word in it would be an answer: por favor."""
    step = talk(*TURNS[:2], text)
    assert step.reply == (
        "¿Qué quieres tomar? Say what you want to drink: quiero, and then the drink. "
        "Puedes decir: Quiero un café, por favor."
    )
    assert shown(step) == ["greetings", "restaurant"]


@pytest.mark.parametrize(
    ("text", "answered"),
    [("Caffe.", True), ("Café.", True), ("Cama.", False), ("Xilo.", False), ("Un caffe.", False)],
    ids=["misspelt", "right", "another word", "no word", "a sentence"],
)
def test_an_answer_of_one_word_counts_although_it_is_misspelt(text: str, *, answered: bool) -> None:
    """Recognisers have nothing but its sound; what is another word was said."""
    step = talk(*TURNS[:2], text)
    assert ("ordering_food" in shown(step)) is answered


def test_who_is_unsure_and_answers_has_answered() -> None:
    """An opinion often begins so."""
    debate = choose("es", "environment", LearnerContext())
    start = ConversationState(scenario="environment", plan=turns_of(debate))
    assert shown(talk("No sé, creo que es el plástico.", start=start)) == ["environment"]
    assert shown(talk("No lo sé.", start=start)) == []


def test_a_branch_reacts_to_what_was_said() -> None:
    """And may lead elsewhere."""
    assert "mesa tranquila" in talk(TURNS[0], "Una mesa, estoy sola.").reply
    family = choose("es", "family", LearnerContext())
    start = ConversationState(scenario="family", plan=turns_of(family), position=1)
    step = talk("No tengo hermanos.", start=start)
    assert step.reply == "Así tienes más paz en casa. ¿Dónde viven tus padres?"


@pytest.mark.parametrize(
    "text", ["Ana", "me llamo ana", "Yo soy ana"], ids=["alone", "lower", "soy"]
)
def test_an_uncertain_name_is_asked_back(text: str) -> None:
    """Yes keeps it, and counts the utterance that it was in; no asks again."""
    step = talk(text)
    assert step.reply == "¿Te llamas Ana?"
    yes = talk("Sí.", start=step.state)
    assert yes.reply.startswith("Mucho gusto, Ana.")
    assert [it.utterance for it in yes.state.answers] == [1]
    assert talk("No.", start=step.state).reply.startswith("Perdona")
    assert talk("No, me llamo Eva.", start=step.state).reply.startswith("Mucho gusto, Eva.")


@pytest.mark.parametrize(
    "misheard", ["Me llamaba.", "Me llamara.", "Me llamó a la."], ids=["ba", "ra", "a_la"]
)
def test_a_misheard_name_is_no_name(misheard: str) -> None:
    """Whisper recognised this instead of "Me llamo Ana." from a voice with a strong accent."""
    step = talk(misheard)
    assert step.state.name == ""
    assert not step.state.answers
    assert step.reply.endswith("¿Cómo te llamas? Puedes decir: Me llamo Ana.")


def test_an_answer_that_the_recogniser_is_unsure_of_is_asked_back() -> None:
    """It counts once confirmed; an unknown confidence is no doubt."""
    asked = talk_heard(
        LearnerUtterance(TURNS[0]), LearnerUtterance("Una mesa para dos.", confidence=0.3)
    )
    assert asked.reply == "¿Has dicho: Una mesa para dos?"
    assert shown(asked) == ["greetings"]
    confirmed = talk("Sí, eso es.", start=asked.state)
    assert shown(confirmed) == ["greetings", "restaurant"]
    assert [(it.what, it.utterance) for it in confirmed.state.words] == [("mesa", 2)]


@pytest.mark.parametrize(
    "text", ["Me llamaba.", "Me llamó a la...", "¡Me llamo Arra!"], ids=["verb", "two", "name"]
)
def test_a_misheard_name_is_asked_back_as_the_app_knows_it(text: str) -> None:
    """Whisper was unsure of "Me llamo Ana."; in the app the learner's name is Ana."""
    course = replace(COURSE, learner=LearnerProfile("en", name="Ana"))
    asked = talk_heard(LearnerUtterance(text, confidence=0.3), course=course)
    assert asked.reply == "¿Te llamas Ana?"
    confirmed = talk("Sí.", start=asked.state, course=course)
    assert (confirmed.state.name, shown(confirmed)) == ("Ana", ["greetings"])
    denied = talk("No.", start=asked.state, course=course)
    assert (denied.state.name, shown(denied)) == ("", [])
    sure = talk_heard(LearnerUtterance("Me llamaba.", confidence=0.9), course=course)
    assert sure.state.open_question is None


def test_a_name_that_the_recogniser_is_unsure_of_is_asked_back() -> None:
    """The word alone: the rest of the sentence was clear."""
    words = (RecognizedWord("Me", 0.9), RecognizedWord("llamo", 0.8), RecognizedWord("Liz.", 0.2))
    asked = talk_heard(LearnerUtterance("Me llamo Liz.", confidence=0.6, words=words))
    assert asked.reply == "¿Te llamas Liz?"
    corrected = talk("No, me llamo Luis.", start=asked.state)
    assert corrected.state.name == "Luis"


def test_one_word_is_an_answer_unless_nobody_could_make_it_out() -> None:
    """Whisper is sure of no single word, but the question leaves few."""
    assert (
        shown(talk_heard(LearnerUtterance(TURNS[0]), LearnerUtterance("Dos.", confidence=0.28)))[-1]
        == "restaurant"
    )
    assert talk_heard(
        LearnerUtterance(TURNS[0]), LearnerUtterance("Dos.", confidence=0.1)
    ).state.open_question


def test_what_may_be_misheard_is_neither_corrected_nor_repeated() -> None:
    """A recast of a mistake that nobody made teaches doubt."""
    step = talk_heard(
        LearnerUtterance(TURNS[0]), LearnerUtterance("Yo tiene hambre hoy", confidence=0.2)
    )
    assert step.state.corrections == ()
    assert "hambre" not in step.reply
    assert step.reply.startswith("Perdona, no te he entendido bien.")


@pytest.mark.parametrize(
    "heard",
    [
        LearnerUtterance("I would like a table for two.", confidence=0.8, language="en"),
        LearnerUtterance("Ich möchte einen Tisch, bitte.", confidence=0.8, language="de"),
        LearnerUtterance("I would like a table for two."),
    ],
    ids=["native by sound", "third by sound", "native by words"],
)
def test_another_language_is_led_back_from(heard: LearnerUtterance) -> None:
    """With the question, and help in the native language; nothing of it counts."""
    step = talk_heard(LearnerUtterance(TURNS[0]), heard)
    assert step.reply == (
        "Vamos a intentarlo en español. ¿Para cuántas personas quieres la mesa? "
        "Ask for a table and say for how many people. Puedes decir: Una mesa para dos, por favor."
    )
    assert (shown(step), step.state.words) == (["greetings"], ())
    assert shown(talk("Una mesa para dos.", start=step.state)) == ["greetings", "restaurant"]


def test_names_loanwords_and_mistakes_are_no_other_language() -> None:
    """A sentence is in the native language if it has words of that language only."""
    for text in ("Sí, Coca-Cola.", "Yo quiere un table por favor", "Para dos personas"):
        step = talk(TURNS[0], text)
        assert "en español" not in step.reply


def test_who_takes_leave_in_the_native_language_is_asked_too() -> None:
    """A goodbye is a goodbye."""
    assert (
        talk_heard(LearnerUtterance(TURNS[0]), LearnerUtterance("Goodbye!")).reply
        == "¿Quieres terminar por hoy?"
    )


def test_doubt_does_not_go_on_for_ever() -> None:
    """After it was asked back three times, the talk goes on without the answer."""
    unsure = [LearnerUtterance("Una mesa para dos.", confidence=0.1)] * 4
    step = talk_heard(LearnerUtterance(TURNS[0]), *unsure)
    assert step.state.plan[step.state.position] == "cafe.order"
    assert shown(step) == ["greetings"]


def test_who_was_asked_back_is_not_told_how_one_says_it() -> None:
    """They have said it; the tutor is not sure of what."""
    asked = talk("El perro corre.", "Luis.")
    assert asked.reply == "¿Te llamas Luis?"
    step = talk("Una tranquila, por favor.", start=asked.state)
    assert step.reply == "Vale, seguimos. ¿Para cuántas personas quieres la mesa?"
    assert step.state.open_question is None


def test_a_mistake_is_quoted_with_its_accents() -> None:
    """Without them, it may be another word."""
    family = choose("es", "family", LearnerContext())
    start = ConversationState(scenario="family", plan=turns_of(family), position=2)
    (found,) = talk("Mi hermano es veinte años.", start=start).state.corrections
    assert (found.wrong, found.right) == ("es veinte años", "tiene veinte años")


def test_the_talk_ends_with_a_recap_and_a_goodbye() -> None:
    """New words, what to remember, and the closing."""
    step = talk("Yo es Ana.", *TURNS)
    assert step.state.over
    assert step.reply.endswith(
        "Hoy has usado palabras nuevas: mesa, café, leche, comida. Para recordar: yo soy. "
        "Gracias a ti. Buen trabajo. ¡Hasta la próxima!"
    )


def test_who_says_goodbye_in_the_middle_is_asked_and_let_go() -> None:
    """Once it is confirmed."""
    asked = talk(TURNS[0], "Adiós.")
    assert asked.reply == "¿Quieres terminar por hoy?"
    assert talk("Sí.", start=asked.state).state.over
    assert talk("Adiós.", start=asked.state).state.over
    stays = talk("No.", start=asked.state)
    assert stays.reply == "Vale, seguimos. ¿Para cuántas personas quieres la mesa?"


OPEN = {
    "leave": OpenQuestion(kind="leave"),
    "another": OpenQuestion(kind="another", text="family"),
    "answer": OpenQuestion(kind="answer", text="Una mesa para dos.", utterance=1),
    "specialist": OpenQuestion(
        kind="specialist", help=HelpRequest(speciality="grammar", focus="gustar")
    ),
}


@pytest.mark.parametrize("asked", OPEN.values(), ids=OPEN)
def test_one_word_that_is_neither_yes_nor_no_has_the_question_asked_again(
    asked: OpenQuestion,
) -> None:
    """Recognisers take a short no for another real word; three times at most."""
    start = ConversationState(scenario="cafe", plan=turns_of(CAFE), position=1, open_question=asked)
    again = talk("Nos.", start=start)
    assert again.reply == f"Perdona, no te he entendido bien. {ask_open(asked, COURSE)}"
    assert again.state.open_question == asked
    assert not again.state.answers
    assert talk("Nos.", "Nos.", "Nos.", "Nos.", start=start).state.open_question != asked


@pytest.mark.parametrize("asked", OPEN.values(), ids=OPEN)
def test_who_asks_to_hear_an_open_question_again_hears_it_again(asked: OpenQuestion) -> None:
    """And not the one before it; a learner who was misheard is taught nothing."""
    start = ConversationState(scenario="cafe", plan=turns_of(CAFE), position=1, open_question=asked)
    again = talk("¿Puedes repetir?", start=start)
    assert again.reply == ask_open(asked, COURSE)
    assert again.state.open_question == asked
    named = talk("ana", "¿Puedes repetir?")
    assert named.reply == "¿Te llamas Ana?"


def test_one_word_that_is_none_does_not_end_a_lesson_that_could_go_on() -> None:
    """Behind the last turn of a scenario there is only the question for another."""
    asked = OpenQuestion(kind="another", text="family")
    end = ConversationState(scenario="cafe", plan=("cafe.name",), position=1, open_question=asked)
    again = talk("Nos.", start=end)
    assert not again.state.over
    assert again.state.open_question == asked


def test_one_word_that_answers_the_turn_is_no_misheard_yes_or_no() -> None:
    """The learner passes over the tutor's offer."""
    start = ConversationState(
        scenario="cafe", plan=turns_of(CAFE), position=1, open_question=OPEN["specialist"]
    )
    assert shown(talk("Dos.", start=start)) == ["restaurant"]


def test_another_scenario_is_offered_when_there_is_time() -> None:
    """Without the question for the name; not to who has just said goodbye."""
    family = choose("es", "family", LearnerContext())
    start = ConversationState(scenario="family", plan=turns_of(family), position=4, name="Ana")
    course = replace(COURSE, scenarios=("family", "job"))
    offered = talk_heard(
        LearnerUtterance("Sí, un perro.", has_time=True), start=start, course=course
    )
    assert offered.reply.endswith("¿Quieres hablar también de una entrevista de trabajo?")
    begun = talk("Sí.", start=offered.state, course=course)
    assert begun.reply == "Hoy tienes una entrevista de trabajo conmigo. ¿Qué experiencia tienes?"
    assert talk("No.", start=offered.state, course=course).state.over
    farewell = talk_heard(*(LearnerUtterance(turn, has_time=True) for turn in TURNS))
    assert farewell.state.over


@pytest.mark.parametrize(
    ("recast_from", "first", "second"),
    [(1, True, True), (2, False, True), (None, False, False)],
    ids=["always", "repeated", "never"],
)
def test_mistakes_are_recast_as_often_as_is_preferred(
    recast_from: int | None, first: bool, second: bool
) -> None:
    """They are listed at the end in any case."""
    course = replace(COURSE, learner=LearnerProfile("en", recast_from=recast_from))
    step = talk(TURNS[0], TURNS[1], "La problema es el té, por favor.", course=course)
    assert ("Se dice: el problema." in step.reply) is first
    again = talk("No, no me gusta un problema, el casa.", start=step.state, course=course)
    assert ("Se dice: la casa." in again.reply) is second
    assert [it.right for it in again.state.corrections] == ["el problema", "la casa"]


def test_a_scenario_has_recasts_of_its_own() -> None:
    """They fit the moment better."""
    assert talk(TURNS[0], "Un mesa para dos.").reply.startswith("Ah, una mesa. Muy bien.")


def test_a_mistake_of_a_scenario_is_listed_at_the_end_once() -> None:
    """It makes no specialist be called, because its topic is no grammar."""
    doctor = choose("es", "doctor", LearnerContext())
    start = ConversationState(scenario="doctor", plan=turns_of(doctor))
    step = talk("Mi cabeza duele.", "Desde ayer.", "Ayer trabajo mucho.", start=start)
    assert [it.right for it in step.state.corrections] == ["me duele la cabeza", "ayer trabajé"]
    assert talk(TURNS[0], "Un mesa para dos.").state.corrections[0].right == "una mesa"
    assert len(talk(TURNS[0], "Un mesa para dos.").state.corrections) == 1


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("Yo tiene, no, yo tengo un gato.", []),
        ("Yo tiene, tengo un gato.", []),
        ("La problema, el problema es la casa.", []),
        ("La problema es el gato.", ["el problema"]),
        ("Yo tiene un gato y mi hermana dice que tengo dos.", ["yo tengo"]),
    ],
    ids=["whole", "word", "article", "other noun", "much later"],
)
def test_who_mends_a_mistake_at_once_has_made_none(text: str, mistakes: list[str]) -> None:
    """The tutor neither recasts it nor lists it."""
    step = talk(TURNS[0], text)
    assert [it.right for it in step.state.corrections] == mistakes
    assert ("Se dice:" in step.reply) is bool(mistakes)


def test_who_denies_what_was_misheard_is_not_corrected() -> None:
    """After three tries the talk goes on without the name."""
    step = talk("Me llamaba.", "Me llamó a la.", "Eva", "No.")
    assert step.reply == "Vale, seguimos. ¿Para cuántas personas quieres la mesa?"


def test_grammar_is_shown_by_any_verb_in_a_form() -> None:
    """The report has the topics of forms that no list of verbs is long enough for."""
    weekend = choose("es", "weekend", LearnerContext())
    start = ConversationState(scenario="weekend", plan=turns_of(weekend)[-1:])
    step = talk("Viajaría a otra ciudad.", start=start)
    assert progress(step.state, COURSE).grammar_points == ("conditional",)


def test_a_kind_of_mistake_that_returns_has_a_specialist_offered() -> None:
    """The specialist is called once, if the learner agrees."""
    step = talk(TURNS[0], "Yo quiere una mesa para dos.", "Yo quiere un té.")
    assert step.reply.endswith("¿Quieres practicarlo un momento con el tutor de gramática?")
    called = talk("Sí, claro.", start=step.state)
    assert called.help == HelpRequest(speciality="grammar", focus="present_tense")
    declined = talk("No.", start=step.state)
    assert declined.help is None
    assert declined.reply == "Vale, seguimos. ¿Te gusta la comida española?"
    ignored = talk("Me encanta la comida española.", start=step.state)
    assert shown(ignored)[-1] == "likes_and_dislikes"
    again = talk("Yo quiere adiós, muchas gracias.", start=ignored.state)
    assert again.state.open_question is None


def test_sounds_that_are_hard_to_recognise_have_a_specialist_offered() -> None:
    """After two answers that were asked back."""
    unsure = LearnerUtterance("Una mesa para dos.", confidence=0.3)
    step = talk_heard(
        LearnerUtterance(TURNS[0]),
        unsure,
        LearnerUtterance("Sí."),
        replace(unsure, text="Quiero un té."),
        LearnerUtterance("Sí."),
    )
    assert step.state.open_question == OpenQuestion(
        kind="specialist", help=HelpRequest(speciality="pronunciation", words=("mesa", "té"))
    )


def test_asking_for_help_is_no_answer() -> None:
    """The question comes again afterwards."""
    step = talk("¿Cómo se pronuncia ciudad?")
    assert step.help == HelpRequest(speciality="pronunciation", words=("ciudad",))
    assert (step.state.answers, step.state.attempts) == ((), 0)


@pytest.mark.parametrize(("sentences", "parts"), [(2, 2), (3, 3)], ids=["slow", "moderate"])
def test_a_slow_pace_gets_shorter_replies(sentences: int, parts: int) -> None:
    """The question or the hint is never left out."""
    course = replace(COURSE, learner=LearnerProfile("en", pace=Pace(sentences=sentences)))
    step = talk(TURNS[0], "El perro corre.", course=course)
    assert len(step.parts) == parts
    assert step.reply.endswith("Puedes decir: Una mesa para dos, por favor.")


def test_silence_gets_a_hint_and_then_the_native_language() -> None:
    """Without a known native language, a hint again."""
    hint = "Puedes decir: Me llamo Ana."
    assert help_in_silence(START, COURSE, 1) == hint
    assert help_in_silence(START, COURSE, 2) == (
        f"Say your name: me llamo, and then your name. {hint}"
    )
    assert help_in_silence(START, Course("es"), 2) == hint


def test_words_of_earlier_sessions_are_not_new() -> None:
    """They are known by the topics that the API remembers."""
    course = replace(COURSE, learner=LearnerProfile("en", frozenset({"restaurant"})))
    assert progress(talk(*TURNS, course=course).state, course).words_learned == 3
    assert progress(talk(*TURNS).state, COURSE).words_learned == 4


def test_the_report_says_what_happened() -> None:
    """Topics, vocabulary in the learner's language, grammar and advice come from the turns."""
    found = report(talk(*TURNS).state, COURSE, ["first_week"])
    assert found.progress is not None
    assert (found.progress.words_learned, found.progress.phrases_practiced) == (4, 5)
    assert found.topics_covered == (
        "greetings",
        "restaurant",
        "ordering_food",
        "likes_and_dislikes",
        "farewells",
    )
    assert [(it.word, it.translation) for it in found.new_vocabulary] == [
        ("mesa", "table"),
        ("café", "coffee"),
        ("leche", "milk"),
        ("comida", "food"),
    ]
    assert found.grammar_points == ("present_tense", "gustar")
    assert found.achievements == ("conversation_es_cafe",)
    assert found.recommendations == (
        "Use these words in a sentence: té, agua, zumo, pan",
        "Try the conversation 'family'",
    )


def test_an_achievement_is_reported_once() -> None:
    """Not in each session."""
    assert report(talk(*TURNS).state, COURSE, ["conversation_es_cafe"]).achievements == ()


def test_an_unfinished_talk_recommends_to_finish_it() -> None:
    """Recommendations about mistakes come before it."""
    found = report(talk("Yo es Ana.").state, COURSE).recommendations
    assert found[0] == "Remember: yo soy (present_tense)"
    assert found[-1] == "Finish the conversation 'cafe'"


def test_silence_is_no_phrase() -> None:
    """A turn in which nothing was recognised changes nothing."""
    assert talk("", " … ").state == START


def test_only_the_latest_mistakes_are_kept() -> None:
    """A lesson's state is limited in size."""
    step = talk(*["Yo es Ana y tengo la problema."] * 60)
    assert len(step.state.corrections) <= MAX_CORRECTIONS
    assert len(step.state.model_dump_json()) < 16_000


UTTERANCES = st.lists(
    st.builds(
        LearnerUtterance,
        st.text(max_size=80)
        | st.sampled_from(
            [*TURNS, "sí", "no", "adiós", "Ana", "yo es Ana", "el perro", "mi gramática"]
        ),
        st.sampled_from([0.0, 0.2, 0.9]),
        st.booleans(),
    ),
    max_size=15,
)


@given(UTTERANCES)
def test_evidence_only_grows_and_has_its_utterance_whatever_is_said(
    turns: list[LearnerUtterance],
) -> None:
    """And the tutor always has something to say."""
    steps = list(
        accumulate(
            turns,
            lambda step, heard: advance(step.state, COURSE, heard),
            initial=UtteranceResult(START, ()),
        )
    )
    for before, after in pairwise(steps):
        assert after.reply
        assert after.state.answers[: len(before.state.answers)] == before.state.answers
        assert after.state.words[: len(before.state.words)] == before.state.words
        evidence = (*after.state.answers, *after.state.words, *after.state.corrections)
        assert all(1 <= it.utterance <= after.state.utterances for it in evidence)
        numbers = [it.utterance for it in after.state.answers]
        assert len(numbers) == len(set(numbers))


@given(UTTERANCES)
def test_the_state_survives_json(turns: list[LearnerUtterance]) -> None:
    """A resumed lesson has the state that was saved."""
    state = talk_heard(*turns).state
    assert ConversationState.model_validate_json(state.model_dump_json()) == state


def test_an_answer_to_what_was_asked_is_whole() -> None:
    """A name, an expected phrase, and a yes to an offer are complete answers."""
    table, offered = talk(TURNS[0]).state, talk("Ana").state
    assert offered.open_question
    assert is_whole_answer(START, COURSE, "Me llamo Ana.")
    assert not is_whole_answer(START, COURSE, "Hola, buenos días.")
    assert is_whole_answer(table, COURSE, "Para dos, por favor.")
    assert not is_whole_answer(table, COURSE, "Una mesa")
    assert is_whole_answer(offered, COURSE, "Sí.")
    assert not is_whole_answer(talk(*TURNS).state, COURSE, "Muchas gracias.")


@pytest.mark.parametrize(
    ("heard", "seen"),
    [
        (
            LearnerUtterance("¿De qué color es?", has_picture=True, colour="red"),
            "Veo algo de color rojo.",
        ),
        (
            LearnerUtterance("Mira esto.", has_picture=True),
            "No distingo qué color es: acércalo a la cámara.",
        ),
        (LearnerUtterance("¿Qué ves?"), "No te veo: enciende la cámara."),
    ],
    ids=["red", "unclear", "no picture"],
)
def test_the_tutor_says_what_it_sees_and_asks_again(heard: LearnerUtterance, seen: str) -> None:
    """It is no attempt to answer, and the tutor says so when it cannot tell."""
    step = talk_heard(LearnerUtterance(TURNS[0]), heard)
    assert step.reply.startswith(f"{seen} ")
    assert step.parts[-1] == talk_heard(LearnerUtterance(TURNS[0])).parts[-1]
    assert step.state.attempts == 0
