"""The choice of a learner's scenario and level."""

from datetime import UTC, datetime

from loqua_host import LearnerContext, LearningProgress, PastSession

from .scenario import LEVELS, Level, Scenario, load_scenarios

__all__ = ["choose", "estimate_level", "last_session", "rank"]

_NEW_WORDS: tuple[tuple[Level, int], ...] = (("A1", 0), ("A2", 250), ("B1", 750), ("B2", 1500))
"""Words learned with Loqua from which a level is assumed, since the API reports no level."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def estimate_level(progress: LearningProgress) -> Level:
    """Return the level that the number of words learned suggests."""
    return [level for level, words in _NEW_WORDS if progress.words_learned >= words][-1]


def last_session(context: LearnerContext) -> PastSession | None:
    """Return the latest earlier session, or None."""
    dated = enumerate(context.session_history)
    latest = max(dated, key=lambda it: (it[1].date or _LONG_AGO, -it[0]), default=None)
    return latest and latest[1]


def rank(language: str, context: LearnerContext, level: Level | None = None) -> list[Scenario]:
    """Return a language's scenarios, the most suitable first.

    What the last session was about comes last. Then the level decides, then how often most of a
    scenario's topics came up before, then the areas of focus, then the name.

    Args:
        language: The language taught.
        context: What the API remembers of the learner.
        level: The learner's level, if it is not to be estimated.
    """
    wanted = LEVELS.index(level or estimate_level(context.progress))
    focus = set(context.preferences.focus_areas)
    last = last_session(context)
    return sorted(
        (it for it in load_scenarios() if it.language == language),
        key=lambda it: (
            last is not None and it.topic in last.topics_covered,
            abs(LEVELS.index(it.level) - wanted),
            _times_talked(it, context.session_history),
            -len(focus & set(it.focus)),
        ),
    )


def choose(
    language: str, name: str, context: LearnerContext, level: Level | None = None
) -> Scenario:
    """Return the scenario to talk about.

    Args:
        language: The language taught.
        name: A scenario's name, or `auto` for the most suitable one.
        context: What the API remembers of the learner.
        level: The learner's level, if it is not to be estimated.

    Raises:
        LookupError: If there is no such scenario in that language.
    """
    known = rank(language, context, level)
    offered = [scenario for scenario in known if name in ("auto", scenario.name)]
    if not offered:
        raise LookupError(
            f"no scenario {name!r} for language {language!r}: add scenarios/{language}/NAME.toml, "
            f"or set `scenario` to one of {['auto', *sorted(it.name for it in known)]}"
        )
    return offered[0]


def _times_talked(scenario: Scenario, history: tuple[PastSession, ...]) -> int:
    """Return in how many past sessions most of the scenario's topics came up."""
    shared = (scenario.topics.intersection(past.topics_covered) for past in history)
    return sum(2 * len(topics) > len(scenario.topics) for topics in shared)
