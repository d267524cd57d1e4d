"""Messages of problems, whose remedies can be typed."""

from enum import StrEnum
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loqua_host.settings.host import HostSettings
from loqua_host.settings.problems import model_problems
from loqua_host.settings.tutors import TutorSettings


class SampleLevel(StrEnum):
    """Levels."""

    A1 = "a1"
    A2 = "a2"


class Phrase(BaseModel):
    """A phrase, in a model without descriptions."""

    model_config = ConfigDict(extra="forbid")

    text: str = ""
    weight: float = 1.0


class Empty(BaseModel):
    """A section without keys."""

    model_config = ConfigDict(extra="forbid")


class SampleSettings(BaseModel):
    """Settings of a tutor."""

    model_config = ConfigDict(extra="forbid")

    level: SampleLevel = SampleLevel.A1
    pace: Literal["slow", "fast"] = "slow"
    count: int = 3
    strict: bool = False
    phrases: list[Phrase] = []
    by_name: dict[str, Phrase] = {}
    either: Phrase | SampleLevel | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    words: tuple[str, ...] = ()
    first: Phrase = Phrase()
    empty: Empty = Empty()


def hints(model: type[BaseModel], written: object) -> list[str]:
    """Return what to do about each thing that is wrong, by its place."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(written)
    found = model_problems(caught.value, model, lambda place: ".".join(map(str, place)))
    return [f"{problem.where}: {problem.hint}" for problem in found]


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ({"level": "c3"}, "level: write one of a1, a2"),
        ({"pace": "quick"}, "pace: write one of slow, fast"),
        ({"count": "three"}, "count: write a whole number"),
        ({"strict": "perhaps"}, "strict: write true or false"),
        ({"words": "one"}, "words: write a list"),
        ({"first": "hola"}, "first: write a section with text:, weight:"),
        ({"empty": 3}, "empty: write {}, an empty section"),
        ({"phrases": [{"weight": "much"}]}, "phrases.0.weight: write a number"),
        ({"by_name": {"hi": {"weight": "much"}}}, "by_name.hi.weight: write a number"),
        ({"phrases": [{"txt": ""}]}, "phrases.0.txt: write text"),
        ({"phrases": [{"zzz": ""}]}, "phrases.0.zzz: remove it or write one of text, weight"),
        ({"by_name": {"hi": {"txt": ""}}}, "by_name.hi.txt: write text"),
        ({"levle": "a1"}, "levle: write level"),
        ({"empty": {"level": 1}}, "empty.level: remove it: no keys are allowed here"),
        ({"limit": "x"}, "limit: write a whole number or null"),
    ],
)
def test_an_author_who_describes_nothing_is_told_what_can_be_typed(
    written: object, hint: str
) -> None:
    """By the model itself: its words, its kinds, its keys at that place, and no others."""
    assert hints(SampleSettings, written) == [hint]


HOST = {"agent_id": "a", "livekit": {"url": "ws://l"}, "api": {"api_base_url": "http://a"}}


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ({"lessons": 3}, "lessons: write a section with drain_timeout:, failing_ticks:, health_"),
        ({"api": {"breaker": 1}}, "api.breaker: write a section with failures:, open_seconds:"),
        (
            {"records": {"achievements": [{"name": "x", "whn": {"minutes": 1}}]}},
            "records.achievements.0.whn: write when",
        ),
        (
            {"records": {"achievements": [{"name": "x", "when": {"minute": 1}}]}},
            "records.achievements.0.when.minute: write minutes",
        ),
        ({"engines": {"stt": {"usee": "a:B"}}}, "engines.stt.usee: write use"),
        ({"logs": {"format": "xml"}}, "logs.format: write text or json"),
        (
            {"lessons": {"learner_timeout": 5}},
            "lessons.learner_timeout: write seconds to wait for a learner, 30 to 60",
        ),
    ],
)
def test_an_operator_is_told_what_can_be_typed(written: dict[str, object], hint: str) -> None:
    """A typo in a section is compared with the keys of that section."""
    merged = HOST | written
    if "api" in written:
        merged["api"] = {"api_base_url": "http://a", **written["api"]}  # type: ignore[dict-item]  # a mapping
    assert any(shown.startswith(hint) for shown in hints(HostSettings, merged)), hints(
        HostSettings, merged
    )


def test_no_mend_is_a_riddle() -> None:
    """This holds for any section and word; a longer description wins."""
    everything_wrong = {name: object() for name in HostSettings.model_fields}
    everything_wrong |= {"environment": "production", "tutors": ()}
    shown = hints(HostSettings, everything_wrong) + hints(
        TutorSettings, {name: object() for name in TutorSettings.model_fields} | {"name": "x"}
    )
    for hint in shown:
        assert "none" not in hint.split(": write", 1)[1].split()[:3]
    assert (
        "worker_type: write automatic to join every new room, explicit to be called by agent_name"
        in shown
    )
