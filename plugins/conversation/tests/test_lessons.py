"""Whole lessons of learners of different tempers, compared with golden files in `tests/lessons`.

Run `uv run python plugins/conversation/tests/test_lessons.py` to write them again, and read them.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loqua_host import LearnerContext
from loqua_tutor_conversation.conversation import advance
from loqua_tutor_conversation.course import Course, LearnerProfile, turns_of
from loqua_tutor_conversation.language import load_language
from loqua_tutor_conversation.plain import has_any_form, plain
from loqua_tutor_conversation.replies import help_in_silence, question
from loqua_tutor_conversation.report import report
from loqua_tutor_conversation.selection import choose
from loqua_tutor_conversation.state import ConversationState
from loqua_tutor_conversation.steps import LearnerUtterance
from loqua_tutor_conversation.vocabulary import find_words

GOLDEN = Path(__file__).parent / "lessons"
SILENCE = "…"


@dataclass(frozen=True)
class Said:
    """A lesson by the learner's words; silence is `…`."""

    language: str
    scenario: str
    lines: tuple[str, ...]
    native: str = "en"


LESSONS = {
    "willing": Said(
        "es",
        "weekend",
        (
            "Fui a la montaña con mis amigos.",
            "Con mi primo, que es muy divertido.",
            "Lo mejor fue el paisaje de la costa.",
            "Sí, llovió y perdimos el tren.",
            "Viajaría a otra ciudad.",
        ),
    ),
    "silent": Said(
        "es", "cafe", (SILENCE, SILENCE, "Ana", "sí", SILENCE, "dos", "café", "sí", "gracias")
    ),
    "chatty": Said(
        "en",
        "cafe",
        (
            "Hello, my name is Tom and I come from a small village near the sea.",
            "Well, it is cold outside so I would like a big cup of tea with milk, please.",
            "I like to read books, but I also like to cook for my friends.",
            "It is sunny now but there was rain in the morning.",
            "Thank you so much, it was lovely, see you soon.",
        ),
        native="es",
    ),
    "off_topic": Said(
        "es",
        "hotel",
        (
            "Mi perro es muy grande.",
            "Me gusta el fútbol.",
            "Sí, tengo una reserva para tres noches.",
            "Quiero un café.",
            "Me llamo Luis.",
            "Una tranquila, por favor.",
            "Una manta y dos toallas.",
            "A las nueve.",
        ),
    ),
    "lost": Said(
        "fr",
        "cafe",
        (
            "Je ne comprends pas.",
            "Je m'appelle Marc.",
            "Pouvez-vous répéter ?",
            "Un thé.",
            "Non.",
            "Merci.",
        ),
    ),
    "constant_errors": Said(
        "es",
        "family",
        (
            "Yo es, me llamo Tom.",
            "Sí, yo tiene un hermano.",
            "No.",
            "Mi hermano es veinte años.",
            "Mis padres viven en un casa.",
            "Sí, un perro y la problema es el gato.",
        ),
    ),
    "misheard": Said(
        "es", "job", ("Me llamaba.", "Me llamó a la.", "Ana", "No.", "He trabajado en un hotel.")
    ),
    "hesitating": Said(
        "en",
        "doctor",
        (
            "Well, I, I have, uh, a cough.",
            "For, for three days, I think.",
            "Yesterday I work. I worked late.",
            "No, no medicine, no.",
            "Yes, I, I will.",
        ),
        native="es",
    ),
    "leaving": Said("en", "travel", ("I want to go to the station.", "Goodbye.", "Yes.")),
    "debating": Said(
        "en",
        "environment",
        (
            "I think it is the waste in our rivers.",
            "Everybody should do something, but the government must make laws.",
            "However, it also creates employment in other places.",
            "I have stopped buying plastic, and I recycle a lot.",
            "I would ban all packaging.",
        ),
        native="fr",
    ),
}


def play(
    said: Said, hear: Callable[[str], LearnerUtterance] = LearnerUtterance
) -> tuple[ConversationState, str]:
    """Return the end of a lesson, and its transcript with the report.

    Args:
        said: What the learner says.
        hear: Returns what is recognised of a line.
    """
    scenario = choose(said.language, said.scenario, LearnerContext())
    course = Course(
        said.language, LearnerProfile(said.native), specialists={"grammar": "grammar-specialist"}
    )
    state = ConversationState(scenario=scenario.name, plan=turns_of(scenario))
    lines, silences = [f"< {scenario.opening} {question(state, course)}"], 0
    for text in said.lines:
        if text == SILENCE:
            silences += 1
            lines += ["  (silence)", f"< {help_in_silence(state, course, silences)}"]
            continue
        heard = hear(text)
        step, silences = advance(state, course, heard), 0
        state = step.state
        misheard = [f"   heard: {heard.text}"] if plain(heard.text) != plain(text) else []
        lines += [f"{state.utterances}> {text}", *misheard, f"< {step.reply}"]
    shown = report(state, course).model_dump_json(indent=1, exclude_defaults=True)
    return state, "\n".join((*lines, "", *evidence(state), shown, ""))


def evidence(state: ConversationState) -> Iterator[str]:
    """Yield what was shown, with the number of the utterance."""
    yield "answers: " + ", ".join(f"{it.what} ({it.utterance})" for it in state.answers)
    yield "words: " + ", ".join(f"{it.what} ({it.utterance})" for it in state.words)
    yield "corrections: " + ", ".join(f"{it.right} ({it.utterance})" for it in state.corrections)


def untrue(
    spoken: list[str], code: str, state: ConversationState, transcript: str
) -> Iterator[str]:
    """Yield what is reported, but was not said in the utterance that it is traced to.

    Args:
        spoken: The utterances.
        code: The language taught.
        state: The end of the lesson.
        transcript: With the report.
    """
    for word in state.words:
        if word.what not in find_words(spoken[word.utterance - 1], code):
            yield f"word {word.what} ({word.utterance})"
    for topic in state.grammar:
        shown_by = load_language(code).grammar[topic.what]
        if not has_any_form(shown_by, spoken[topic.utterance - 1]):
            yield f"grammar {topic.what} ({topic.utterance})"
    for correction in state.corrections:
        if plain(correction.wrong) not in plain(spoken[correction.utterance - 1]):
            yield f"mistake {correction.wrong} ({correction.utterance})"
    yield from _unfounded(state, json.loads(transcript[transcript.index("\n{") :]))


def _unfounded(state: ConversationState, shown: dict[str, Any]) -> Iterator[str]:
    """Yield what of a report has nothing in the state that it could be counted from."""
    answered = {it.utterance for it in state.answers}
    if shown["progress"].get("phrases_practiced", 0) != len(answered):
        yield f"{shown['progress']} of {len(answered)} utterances with an answer"
    new = {it["word"] for it in shown.get("new_vocabulary", ())}
    if shown["progress"].get("words_learned", 0) != len(new):
        yield f"{shown['progress']} of {len(new)} new words"
    for kind, found, traced in (
        ("new word", new, state.words),
        ("topic", shown.get("topics_covered", ()), state.answers),
        ("grammar point", shown.get("grammar_points", ()), state.grammar),
    ):
        yield from (f"{kind} {it}" for it in {*found} - {one.what for one in traced})


@pytest.mark.parametrize("name", LESSONS, ids=str)
def test_a_lesson_is_as_it_was_read(name: str) -> None:
    """Transcript and report are the same as in the golden file."""
    _, transcript = play(LESSONS[name])
    assert transcript == (GOLDEN / f"{name}.txt").read_text("utf-8")


@pytest.mark.parametrize("name", LESSONS, ids=str)
def test_each_figure_is_in_the_utterance_that_it_is_traced_to(name: str) -> None:
    """Each word, mistake and grammar topic was said there; an utterance is one answer at most."""
    said = LESSONS[name]
    state, transcript = play(said)
    spoken = [text for text in said.lines if text != SILENCE]
    assert not [*untrue(spoken, said.language, state, transcript)]


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, said in LESSONS.items():
        (GOLDEN / f"{name}.txt").write_text(play(said)[1], "utf-8")
