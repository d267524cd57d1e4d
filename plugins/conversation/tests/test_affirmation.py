"""Tests that an answer takes a branch by what it affirms, not by what it denies or asks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_tutor_conversation.affirmation import affirmed, branch_of
from loqua_tutor_conversation.language import known_languages, load_language
from loqua_tutor_conversation.scenario import Scenario, ScenarioTurn, load_scenarios

TAKEN = {
    "sunny": ("en.cafe.weather", "It is sunny and warm.", "Then enjoy"),
    "sunny after a contrast": ("en.cafe.weather", "It's not raining but sunny.", "Then enjoy"),
    "rain, not sun": ("en.cafe.weather", "It isn't sunny, it is raining.", "Then stay"),
    "a no before a sentence": ("en.weekend.what", "No, I worked.", "Working at"),
    "a no alone": ("en.home.siblings", "No.", "So you are"),
    "a polite no": ("en.hotel.booking", "I'm sorry, no.", "No problem"),
    "what is denied is heard": ("en.home.siblings", "I don't have any sisters.", "So you are"),
    "no reservation": ("en.hotel.booking", "I have no reservation.", "No problem"),
    "nothing": ("es.weekend.what", "No hice nada.", "También"),
    "a question where one is asked for": ("en.job.conditions", "What are the hours?", "From nine"),
    "una pregunta que se pide": ("es.job.conditions", "Sí, ¿cuál es el sueldo?", "De eso"),
    "no tengo": ("es.family.siblings", "No tengo hermanos.", "Así tienes"),
    "vino, no cerveza": ("es.cafe.order", "No quiero agua, sino vino.", "Ahora no tenemos"),
    "pas de réservation": ("fr.hotel.booking", "Non, je n'ai pas de réservation.", "Ce n'est pas"),
    "de la bière": ("fr.cafe.order", "Je ne veux pas d'eau, mais une bière.", "Nous n'avons"),
}
NOT_TAKEN = {
    "not sunny": ("en.cafe.weather", "It is not sunny."),
    "isn't very sunny": ("en.cafe.weather", "It isn't very sunny today."),
    "is it sunny": ("en.cafe.weather", "Is it sunny?"),
    "no fever": ("en.doctor.pain", "I have no fever, I have a headache."),
    "one of two": ("en.home.siblings", "I have two brothers and no sisters."),
    "the other of two": ("en.home.siblings", "I don't have brothers, but I have a sister."),
    "no problem": ("en.hotel.booking", "Yes, no problem, I have a reservation."),
    "no cerveza": ("es.cafe.order", "No quiero cerveza, un agua."),
    "hay cerveza": ("es.cafe.order", "¿Hay cerveza?"),
    "sin vino": ("es.cafe.order", "Una comida sin vino."),
    "no trabajé": ("es.weekend.what", "No trabajé, fui al campo."),
    "pero una hermana": ("es.family.siblings", "No tengo hermanos, pero tengo una hermana."),
    "pas de bière": ("fr.cafe.order", "Pas de bière, un jus."),
    "ne bois pas": ("fr.cafe.order", "Je ne bois pas de vin."),
    "avez-vous": ("fr.cafe.order", "Avez-vous de la bière ?"),
}


def find_turn(place: str) -> ScenarioTurn:
    """Return the turn with this language, scenario and id."""
    language, name, turn_id = place.split(".")
    scenario = next(it for it in load_scenarios() if (it.language, it.name) == (language, name))
    return next(it for it in scenario.turns if it.id == turn_id)


def reaction(place: str, text: str) -> str:
    """Return what the branch says that an answer takes; empty if none."""
    code = place.partition(".")[0]
    branch = branch_of(find_turn(place), load_language(code), code, text)
    return branch.says if branch else ""


@pytest.mark.parametrize(("place", "text", "says"), TAKEN.values(), ids=TAKEN)
def test_an_answer_takes_the_branch_of_what_it_affirms(place: str, text: str, says: str) -> None:
    """What it denies in the same sentence does not matter."""
    assert reaction(place, text).startswith(says)


@pytest.mark.parametrize(("place", "text"), NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_an_answer_takes_no_branch_of_what_it_denies_or_asks(place: str, text: str) -> None:
    """It gets an acknowledgement that is never wrong."""
    assert not reaction(place, text)


@pytest.mark.parametrize("scenario", load_scenarios(), ids=lambda it: f"{it.language}-{it.name}")
def test_each_phrase_of_a_branch_takes_it(scenario: Scenario) -> None:
    """Unless an earlier branch of the turn hears it, too."""
    for turn in scenario.turns:
        language = load_language(scenario.language)
        for branch in turn.branches:
            for phrase in branch.hears:
                taken = branch_of(turn, language, scenario.language, phrase)
                assert taken in turn.branches[: turn.branches.index(branch) + 1], phrase


@pytest.mark.parametrize("code", sorted(known_languages()))
@given(text=st.text())
def test_any_text_affirms_no_more_than_it_says(code: str, text: str) -> None:
    """This holds for any output of a recogniser."""
    assert len(affirmed(load_language(code), text)) <= 3 * len(text)
