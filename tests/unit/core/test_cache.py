"""The context cache: one fetch, and three lifetimes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from loqua_host.contract.learner import (
    LearnerContext,
    LearningProgress,
    PastSession,
    Preferences,
)
from loqua_host.core.cache import ContextCache
from loqua_host.core.settings import CacheLives

KEY = ("user-1", "agent-1")
PREFERENCES = Preferences(language_learning="spanish")
WHOLE = LearnerContext(
    preferences=PREFERENCES,
    progress=LearningProgress(words_learned=7),
    session_history=(PastSession(session_id="s"),),
)
ONLY_PREFERENCES = LearnerContext(preferences=PREFERENCES)


class CacheClock:
    """A clock that a test moves."""

    time = 1000.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.time

    now = monotonic

    async def sleep(self, seconds: float) -> None:
        """Move the clock."""
        self.time += seconds


@pytest.fixture
def clock() -> CacheClock:
    """Return a clock."""
    return CacheClock()


@pytest.fixture
def cache(clock: CacheClock) -> ContextCache[tuple[str, str]]:
    """Return an empty cache with the guide's lives, for three learners."""
    return ContextCache(CacheLives(learners=3), clock)


@pytest.mark.parametrize(
    ("age", "fresh", "stale"),
    [
        (0, WHOLE, WHOLE),
        (299.9, WHOLE, WHOLE),
        (300, None, WHOLE),
        (599.9, None, WHOLE),
        (600, None, ONLY_PREFERENCES),
        (3599.9, None, ONLY_PREFERENCES),
        (3600, None, None),
        (86400, None, None),
    ],
)
def test_its_parts_age_as_the_guide_says(
    cache: ContextCache[tuple[str, str]],
    clock: CacheClock,
    age: float,
    fresh: LearnerContext | None,
    stale: LearnerContext | None,
) -> None:
    """Refetched after 5 minutes; history serves to 10 minutes, preferences to an hour."""
    cache.store(KEY, WHOLE)
    clock.time += age
    assert cache.fresh(KEY) == fresh
    assert cache.stale(KEY) == stale


def test_nothing_is_known_of_strangers(cache: ContextCache[tuple[str, str]]) -> None:
    """Another agent's learner is a stranger too."""
    cache.store(KEY, WHOLE)
    assert cache.fresh(("user-1", "agent-2")) is None
    assert cache.stale(("user-2", "agent-1")) is None


def test_what_has_changed_is_fetched_again_but_serves_an_outage(
    cache: ContextCache[tuple[str, str]],
) -> None:
    """After a record was created the old history is better than none."""
    cache.mark_stale(KEY)
    cache.store(KEY, WHOLE)
    cache.mark_stale(KEY)
    assert cache.fresh(KEY) is None
    assert cache.stale(KEY) == WHOLE
    cache.store(KEY, WHOLE)
    assert cache.fresh(KEY) == WHOLE


def test_what_is_dropped_is_gone(cache: ContextCache[tuple[str, str]]) -> None:
    """A refused learner's context serves nobody."""
    cache.drop(KEY)
    cache.store(KEY, WHOLE)
    cache.drop(KEY)
    assert cache.stale(KEY) is None


def test_the_oldest_fetch_makes_room(cache: ContextCache[tuple[str, str]]) -> None:
    """It is bounded; a context fetched again counts as new."""
    for user in "abc":
        cache.store((user, ""), WHOLE)
    cache.store(("a", ""), WHOLE)
    cache.store(("d", ""), WHOLE)
    cached = [user for user in "abcd" if cache.fresh((user, "")) is not None]
    assert cached == ["a", "c", "d"]


@pytest.mark.parametrize(
    "lives", [{"context": 601}, {"history": 299}, {"preferences": 599}, {"learners": 0}]
)
def test_lives_out_of_order_are_refused(lives: dict[str, float]) -> None:
    """No part may outlive what it is a part of."""
    with pytest.raises(ValidationError):
        CacheLives.model_validate(lives)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["keep", "wait", "mark_stale", "drop"]), st.sampled_from("abcde")
        ),
        max_size=40,
    )
)
def test_it_never_serves_what_is_too_old_or_holds_too_much(steps: list[tuple[str, str]]) -> None:
    """A served entry was stored, not evicted, and is within its lifetime."""
    clock = CacheClock()
    cache: ContextCache[str] = ContextCache(CacheLives(learners=3), clock)
    kept_at: dict[str, float] = {}
    for step, user in steps:
        if step == "wait":
            clock.time += 250
        elif step == "keep":
            cache.store(user, WHOLE)
            kept_at[user] = clock.time
        elif step == "mark_stale":
            cache.mark_stale(user)
        else:
            cache.drop(user)
            kept_at.pop(user, None)
        served = [user for user in "abcde" if cache.stale(user) is not None]
        assert len(served) <= 3
        assert all(clock.time - kept_at[user] < 3600 for user in served)
        assert all(cache.fresh(user) is None or user in served for user in "abcde")
