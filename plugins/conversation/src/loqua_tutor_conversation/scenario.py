"""Scenarios: what a conversation is about, as data in `scenarios/*.toml`."""

import tomllib
from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, Field

from loqua_host import LearnerContext, PastSession

__all__ = ["Question", "Scenario", "Target", "choose", "grammar_phrases", "scenarios"]

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Question(BaseModel):
    """One step of a scenario.

    Attributes:
        topic: The topic that an answer covers, in the API's style (`greetings`).
        ask: What the tutor says to get there.
        expects: Any of these in an answer shows that it is one; none: any answer is.
        hint: What the tutor says once when the answer was something else.
    """

    model_config = _FROZEN

    topic: str
    ask: str
    expects: tuple[str, ...]
    hint: str


class Target(BaseModel):
    """A word the scenario wants the learner to use, in any of its forms."""

    model_config = _FROZEN

    word: str
    forms: tuple[str, ...] = ()
    translations: dict[str, str] = Field(min_length=1, description="by the API's language names")

    def translation(self, native: str | None) -> str:
        """The word in the learner's language, or in the first one that there is."""
        return self.translations.get(native or "") or next(iter(self.translations.values()))


class Scenario(BaseModel):
    """A short guided conversation in one language."""

    model_config = _FROZEN

    name: str
    language: str
    focus: tuple[str, ...]
    opening: str
    welcome_back: str
    closing: str
    questions: tuple[Question, ...] = Field(min_length=1)
    vocabulary: tuple[Target, ...]

    @property
    def topics(self) -> frozenset[str]:
        """The topics that this scenario can cover."""
        return frozenset(question.topic for question in self.questions)


@cache
def scenarios() -> tuple[Scenario, ...]:
    """All scenarios, in the order in which they are offered."""
    found = sorted(files(__package__).joinpath("scenarios").iterdir(), key=lambda file: file.name)
    return tuple(Scenario.model_validate(tomllib.loads(file.read_text("utf-8"))) for file in found)


@cache
def grammar_phrases(language: str) -> dict[str, tuple[str, ...]]:
    """Phrases that show a grammar topic in use, by the topic's name."""
    text = files(__package__).joinpath("grammar.toml").read_text("utf-8")
    return {topic: tuple(found) for topic, found in tomllib.loads(text).get(language, {}).items()}


def choose(language: str, name: str, context: LearnerContext) -> Scenario:
    """Choose the scenario to talk about.

    Args:
        language: The language taught.
        name: A scenario's name, or `auto` for the one that is newest to the learner; between
            equally new ones, what the learner wants to focus on decides.
        context: What the API remembers of the learner.

    Raises:
        LookupError: If there is no such scenario in that language.
    """
    known = [scenario for scenario in scenarios() if scenario.language == language]
    offered = [scenario for scenario in known if name in ("auto", scenario.name)]
    if not offered:
        raise LookupError(
            f"no scenario {name!r} for language {language!r}: add one to scenarios/, or set "
            f"`scenario` to one of {['auto', *(scenario.name for scenario in known)]}"
        )
    wanted = set(context.preferences.focus_areas)
    return min(
        offered,
        key=lambda it: (_times_talked(it, context.session_history), -len(wanted & set(it.focus))),
    )


def _times_talked(scenario: Scenario, history: tuple[PastSession, ...]) -> int:
    """In how many past sessions most of the scenario's topics came up."""
    shared = (scenario.topics.intersection(past.topics_covered) for past in history)
    return sum(2 * len(topics) > len(scenario.topics) for topics in shared)
