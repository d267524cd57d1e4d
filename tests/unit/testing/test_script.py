"""Scripts of lessons in YAML: their model, and every mistake with its remedy."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from loqua_host.testing import (
    FailApi,
    KillJob,
    Leaves,
    LessonScript,
    Returns,
    Says,
    ScriptError,
    StaysSilent,
    TutorCalls,
    TutorSays,
    Types,
    read_script,
)
from loqua_host.testing.steps import read_step

WRITTEN = """
tutor: grammar
settings: {questions: 2}
steps:
  - tutor_says: {matches: "¿Qué eres"}
  - says: Yo es estudiante.
  - tutor_says: Casi.
  - types: hola
  - silence: 40
  - leaves
  - returns
  - kill_job
  - api: 503 for 20 s
  - tutor_calls: grammar-specialist
  - tutor_calls: {agent_name: grammar-specialist, focus: articles, outcome: absent}
expect:
  hooks: [create_agent, on_user_ready]
  record: {topics_covered: [self_introduction]}
"""

STEPS = (
    TutorSays(matches="¿Qué eres"),
    Says("Yo es estudiante."),
    TutorSays("Casi."),
    Types("hola"),
    StaysSilent(40),
    Leaves(),
    Returns(),
    KillJob(),
    FailApi(503, 20),
    TutorCalls("grammar-specialist"),
    TutorCalls("grammar-specialist", focus="articles", outcome="absent"),
)


def test_a_script_in_yaml_is_the_same_as_one_in_python(tmp_path: Path) -> None:
    """Each step has one short form."""
    path = tmp_path / "talk.lesson.yaml"
    path.write_text(WRITTEN, "utf-8")
    script = read_script(path)
    assert script.steps == STEPS
    assert script.settings == {"questions": 2}
    assert script.expect.hooks == ("create_agent", "on_user_ready")


MISTAKES: dict[str, tuple[Any, str]] = {
    "misspelt": ("leave", "'leave' is no step; write leaves"),
    "unknown": ({"hums": "la"}, "'hums' is no step; write says, types"),
    "two at once": ({"says": "a", "types": "b"}, "one item is one step"),
    "no argument": ("says", "says: text: Field required"),
    "too many": ({"kill_job": 3}, "kill_job: takes other arguments"),
    "no outage": ({"api": "down"}, "'down' is no failure of the API; write `503 for 20 s`"),
    "refusal": ({"api": "404 for 20 s"}, "api: .*greater than or equal to 429"),
    "backwards": ({"silence": -1}, "silence: .*greater than 0"),
    "neither": ({"tutor_says": {}}, "give either a text, or `matches`"),
    "both": ({"tutor_says": {"text": "a", "matches": "a"}}, "give either"),
    "no pattern": ({"tutor_says": {"matches": "("}}, "is no regular expression"),
}


@pytest.mark.parametrize(("written", "problem"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_says_what_to_write(written: Any, problem: str) -> None:
    """In Python's words as in YAML's."""
    with pytest.raises(ValidationError, match=problem):
        LessonScript.model_validate({"tutor": "grammar", "steps": [written]})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("steps: [leave]", "steps.0: .*write leaves"),
        ("a: [", "is no YAML"),
        ("3", "Input should be a valid dict"),
    ],
    ids=["step", "no yaml", "no script"],
)
def test_a_file_with_a_mistake_is_named(tmp_path: Path, text: str, problem: str) -> None:
    """With the place in it."""
    path = tmp_path / "talk.lesson.yaml"
    path.write_text(text)
    with pytest.raises(ScriptError, match=f"talk.lesson.yaml: {problem}"):
        read_script(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
KEYS = st.sampled_from(["says", "silence", "leaves", "api", "tutor_says", "tutor_calls"])


@given(JSON | st.dictionaries(KEYS, JSON, max_size=2))
def test_whatever_is_written_is_a_step_or_a_mistake(written: Any) -> None:
    """Never another error."""
    with suppress(ValueError):
        read_step(written)
