"""Scenarios as data: the required parts of a file, and that each scenario ends."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_tutor_conversation.conversation import advance
from loqua_tutor_conversation.course import Course, LearnerProfile, current_turn, turns_of
from loqua_tutor_conversation.language import load_language
from loqua_tutor_conversation.scenario import LEVELS, Scenario, load_scenarios, parse_scenario
from loqua_tutor_conversation.state import ConversationState
from loqua_tutor_conversation.steps import LearnerUtterance, UtteranceResult
from loqua_tutor_conversation.toml_data import DataError

LANGUAGES = sorted({scenario.language for scenario in load_scenarios()})
NONSENSE = ("bla bla bla", "42", "wzx " * 30)
WHOLE = """
level = "A1"
topic = "restaurant"
title = "de un bar"
goal = "Order a drink."
focus = ["food"]
opening = "Hoy vamos a un bar."
welcome_back = "Seguimos en el bar."
closing = "¡Hasta la próxima!"
[[turns]]
id = "order"
topic = "restaurant"
ask = "¿Qué quieres?"
expects = ["quiero"]
model = "Quiero agua."
help = { en = "Say what you want." }
"""

for_each = pytest.mark.parametrize(
    "scenario", load_scenarios(), ids=lambda it: f"{it.language}-{it.name}"
)


def begin(scenario: Scenario) -> tuple[ConversationState, Course]:
    """Return the beginning of a lesson with this scenario."""
    native = "en" if scenario.language != "en" else "es"
    course = Course(scenario.language, LearnerProfile(native))
    return ConversationState(scenario=scenario.name, plan=turns_of(scenario)), course


@pytest.mark.parametrize(("language", "least"), [("es", 8), ("en", 8), ("fr", 3)])
def test_there_are_scenarios_over_the_levels(language: str, least: int) -> None:
    """Spanish and English have all levels."""
    own = [scenario for scenario in load_scenarios() if scenario.language == language]
    assert len(own) >= least
    assert language == "fr" or {scenario.level for scenario in own} == set(LEVELS)


@for_each
def test_model_answers_lead_to_the_end_and_all_count(scenario: Scenario) -> None:
    """Who says what the tutor suggests is understood at once, with no mistake found in it."""
    state, course = begin(scenario)
    steps = 0
    while (turn := current_turn(state, course)) is not None and not state.over:
        state = advance(state, course, LearnerUtterance(turn.model)).state
        steps += 1
        assert (state.answers[-1].what, state.answers[-1].utterance) == (turn.topic, steps)
        assert state.attempts == 0
    assert state.over
    assert not state.corrections
    assert set(scenario.topics) == {it.what for it in state.answers}


@for_each
@pytest.mark.parametrize("nonsense", NONSENSE, ids=["syllables", "number", "long"])
def test_nonsense_leads_to_the_end_and_nothing_counts(scenario: Scenario, nonsense: str) -> None:
    """Each time the tutor says something, helps, and at last goes on."""
    state, _ = said_to_the_end(scenario, nonsense)
    assert state.utterances == 3 * len(scenario.turns)
    assert not state.answers
    assert not state.words


@for_each
@pytest.mark.parametrize("word", ["yes", "no", "goodbye", "name"])
def test_whoever_says_one_thing_only_gets_to_an_end(scenario: Scenario, word: str) -> None:
    """No question is asked for ever; the same again is a yes to what is asked back."""
    known = load_language(scenario.language)
    texts = {"yes": known.yes[0], "no": known.no[0], "goodbye": known.goodbye[0], "name": "Zed"}
    state, replies = said_to_the_end(scenario, texts[word])
    assert all(replies)
    assert word != "goodbye" or state.utterances <= 2 + len(scenario.turns)


MISHEARD = {"en": ("Know.", "Now.", "Dew."), "es": ("Nos.", "Dio."), "fr": ("Nom.", "Dieu.")}
"""Real words that recognisers take a short yes, no or number for."""


@for_each
def test_one_word_that_does_not_fit_has_the_question_asked_again(scenario: Scenario) -> None:
    """Whatever the question: yes or no, a number, a name that is asked back."""
    for turn in scenario.turns:
        for word in MISHEARD[scenario.language]:
            step = answered(scenario, turn.id, word)
            assert not step.state.answers, (turn.id, word)
            is_confirmed = turn.name and step.state.open_question is not None
            assert is_confirmed or turn.ask in step.reply, (turn.id, word)


def said_to_the_end(scenario: Scenario, text: str) -> tuple[ConversationState, list[str]]:
    """Return the end of a lesson in which a learner says one thing only, and the replies."""
    state, course = begin(scenario)
    replies = []
    while not state.over:
        step = advance(state, course, LearnerUtterance(text))
        state = step.state
        replies.append(step.reply)
        assert len(replies) < 50
    return state, replies


@for_each
def test_branches_recasts_and_words_are_answers(scenario: Scenario) -> None:
    """What a scenario reacts to, it takes as an answer to the turn."""
    for turn in scenario.turns:
        if turn.name:
            continue
        heard = [phrase for branch in turn.branches for phrase in branch.hears]
        for text in (*heard, *turn.words):
            step = answered(scenario, turn.id, text)
            assert step.state.answers, (turn.id, text)
        for wrong, right in turn.recasts.items():
            assert answered(scenario, turn.id, wrong).reply.startswith(right.says), (turn.id, wrong)


def answered(scenario: Scenario, turn: str, text: str) -> UtteranceResult:
    """Return the step from an answer to one turn."""
    state, course = begin(scenario)
    position = state.plan.index(f"{scenario.name}.{turn}")
    return advance(state.model_copy(update={"position": position}), course, LearnerUtterance(text))


@for_each
def test_help_is_there_in_a_native_language(scenario: Scenario) -> None:
    """In two languages at least; words have translations into the same ones."""
    for turn in scenario.turns:
        assert len(turn.help) >= 2
        assert scenario.language not in turn.help
        for translations in turn.words.values():
            assert turn.help.keys() <= translations.keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_can_be_talked(language: str) -> None:
    """Its phrases have the fields that the code fills in, and both specialists can be asked for."""
    known = load_language(language)
    assert known.asks.keys() == known.phrases.offer.keys() == {"grammar", "pronunciation"}
    assert "present_tense" in known.grammar
    assert "{model}" in known.phrases.hint
    assert "{name}" in known.phrases.confirm_name
    assert "{right}" in known.phrases.recast


@pytest.mark.parametrize("scenario", load_scenarios(), ids=lambda it: f"{it.language}-{it.name}")
def test_a_question_can_be_asked_again(scenario: Scenario) -> None:
    """It follows "But tell me:" as well, so it does not begin as if it came next."""
    openings = ("Primero", "Para empezar", "Y tú", "First", "To begin", "And ", "D'abord", "Et ")
    assert not [turn.id for turn in scenario.turns if turn.ask.startswith(openings)]


def test_a_language_without_a_file_says_what_to_write() -> None:
    """The error names the file."""
    with pytest.raises(LookupError, match=r"languages/tlh\.toml is missing: write it"):
        load_language("tlh")


def test_a_whole_scenario_is_read() -> None:
    """Language and name come from where the file is."""
    scenario = parse_scenario("es", "bar", WHOLE)
    assert (scenario.language, scenario.name, scenario.topics) == ("es", "bar", {"restaurant"})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('goal = "Order a drink."\n', "", r"goal: Field required: write it"),
        ('level = "A1"', 'level = "C9"', r"level: .*'A1', 'A2', 'B1' or 'B2'"),
        ("ask = ", "question = ", r"turns\[0\]\.question: .*: remove it, or correct its name"),
        ('expects = ["quiero"]', 'expects = "quiero"', r"turns\[0\]\.expects: .*: write a list"),
        ('topic = "restaurant"\ntitle', 'topic = "bar"\ntitle', r"write one of \['restaurant'\]"),
        ('help = { en = "Say what you want." }', "help = {}", r"turns\[0\]\.help: .*at least one"),
        (
            'model = "Quiero agua."',
            'model = "Quiero agua."\nbranches = [{ hears = ["vino"], says = "No.", to = "pay" }]',
            r"turn 'order' goes to 'pay': write a later one, of \['end'\]",
        ),
        (
            'model = "Quiero agua."',
            'model = "Quiero agua."\naccept = "Bien, {age}."',
            r"turns\[0\]: accept has \{age\}: write \{name\} or \{word\}",
        ),
        ("[[turns]]", "[[turns", r"is not TOML"),
    ],
    ids=[
        "missing",
        "level",
        "unknown_key",
        "no_list",
        "topic",
        "no_help",
        "branch",
        "field",
        "no_toml",
    ],
)
def test_a_wrong_file_says_where_and_what_to_write(old: str, new: str, message: str) -> None:
    """With the file's name first."""
    assert old in WHOLE
    with pytest.raises(DataError, match=r"^scenarios/es/bar\.toml: .*" + message):
        parse_scenario("es", "bar", WHOLE.replace(old, new, 1))


@given(st.text(max_size=200) | st.sampled_from(WHOLE.splitlines()).map(lambda it: WHOLE + it))
def test_any_text_is_a_scenario_or_a_clear_error(text: str) -> None:
    """Nothing else is raised."""
    with suppress(DataError):
        assert parse_scenario("es", "bar", text).turns
