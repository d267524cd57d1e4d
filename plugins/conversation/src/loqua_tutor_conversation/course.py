"""The constants of a lesson, and the position of a conversation in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .language import Language, Speciality, known_languages, load_language
from .scenario import Scenario, ScenarioTurn, load_scenarios
from .state import ConversationState

__all__ = [
    "Course",
    "LearnerProfile",
    "Pace",
    "begun_scenarios",
    "current_turn",
    "help_languages",
    "scenario_of",
    "turns_of",
]


@dataclass(frozen=True, slots=True)
class Pace:
    """The pace of the tutor.

    Attributes:
        sentences: How many parts a reply may have.
        patience: Factor of the delay after which a learner who seems to have finished has.
        speed: Factor of the speed of speech.
    """

    sentences: int = 3
    patience: float = 1.0
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class LearnerProfile:
    """The tutor's knowledge of the learner before the lesson.

    Attributes:
        native: The native language, ISO 639-1; None if unknown.
        known: Topics of earlier sessions; their words are not new.
        pace: How fast the tutor goes.
        name: The name that the app knows, to ask back what was not understood; may be empty.
        recast_from: The mistake of a kind, from 1, from which on recasts are made; None for none.
    """

    native: str | None = None
    known: frozenset[str] = frozenset()
    pace: Pace = field(default_factory=Pace)
    name: str = ""
    recast_from: int | None = 1


@dataclass(frozen=True, slots=True)
class Course:
    """A lesson's language, learner, and scenarios.

    Attributes:
        code: The language taught, ISO 639-1.
        learner: The learner.
        scenarios: Names of the scenarios to talk about, in order, as far as there is time.
        specialists: Agent names of the specialists that may be called, by speciality.
    """

    code: str
    learner: LearnerProfile = field(default_factory=LearnerProfile)
    scenarios: tuple[str, ...] = ()
    specialists: Mapping[Speciality, str] = field(default_factory=dict)

    @property
    def language(self) -> Language:
        """The data of the language."""
        return load_language(self.code)


def help_languages(course: Course) -> tuple[Language, ...]:
    """Return the languages in which a learner may ask for help: the taught and the native one."""
    native = course.learner.native
    own = (load_language(native),) if native and native in known_languages() else ()
    return (course.language, *own)


def turns_of(scenario: Scenario, name: str = "") -> tuple[str, ...]:
    """Return a scenario's turns for a plan; without the one that asks for a known name."""
    return tuple(f"{scenario.name}.{it.id}" for it in scenario.turns if not (it.name and name))


def scenario_of(course: Course, name: str) -> Scenario:
    """Return a scenario of the course's language.

    Raises:
        LookupError: If there is none.
    """
    for scenario in load_scenarios():
        if (scenario.language, scenario.name) == (course.code, name):
            return scenario
    raise LookupError(f"there is no scenarios/{course.code}/{name}.toml")


def begun_scenarios(state: ConversationState, course: Course) -> tuple[str, ...]:
    """Return the names of the scenarios that are planned as a whole, not only for a review."""
    names = dict.fromkeys(turn.partition(".")[0] for turn in state.plan)
    return tuple(
        name
        for name in names
        if set(turns_of(scenario_of(course, name), "known")) <= set(state.plan)
    )


def current_turn(state: ConversationState, course: Course) -> ScenarioTurn | None:
    """Return the current turn, or None at the end of the plan."""
    if state.position >= len(state.plan):
        return None
    name, _, key = state.plan[state.position].partition(".")
    return next((it for it in scenario_of(course, name).turns if it.id == key), None)
