"""Spaced repetition of sounds."""

from datetime import UTC, datetime, timedelta

import pytest

from loqua_host import PastSession
from loqua_tutor_pronunciation.sounds import due_sounds, sound_topics

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def past(days: float, *topics: str) -> PastSession:
    """Return a session so many days ago."""
    return PastSession(
        session_id=f"s{days}", date=NOW - timedelta(days=days), topics_covered=topics
    )


def test_a_weak_sound_is_due_the_next_day() -> None:
    """Not on the same one."""
    assert due_sounds([past(1.1, "pronunciation", "weak_sound_en_θ")], "en", NOW) == ("θ",)
    assert due_sounds([past(0.1, "weak_sound_en_θ")], "en", NOW) == ()


def test_a_sound_that_was_good_meanwhile_waits_longer() -> None:
    """Each good session lengthens the pause, a weak one shortens it."""
    weak, good = past(9, "weak_sound_en_θ"), past(8, "sound_en_θ")
    better = [weak, good, past(1.2, "sound_en_θ")]
    worse = [weak, good, past(1.2, "weak_sound_en_θ")]
    assert due_sounds(better, "en", NOW) == ()
    assert due_sounds(worse, "en", NOW) == ("θ",)


def test_a_sound_that_was_never_weak_does_not_come_back() -> None:
    """It needs no practice."""
    assert due_sounds([past(400, "sound_en_θ")], "en", NOW) == ()


def test_the_longest_overdue_is_first_and_languages_are_apart() -> None:
    """A sound of another language is not due in this one."""
    history = [past(3, "weak_sound_en_s"), past(5, "weak_sound_en_v"), past(9, "weak_sound_es_rr")]
    assert due_sounds(history, "en", NOW) == ("v", "s")
    assert due_sounds(history, "es", NOW) == ("rr",)


@pytest.mark.parametrize(
    "session",
    [
        past(-1, "weak_sound_en_s"),
        PastSession(session_id="s", topics_covered=("weak_sound_en_s",)),
        past(365 * 100, "weak_sound_en_s"),
        past(5, "restaurant", "pronunciation", ""),
    ],
    ids=["future", "undated", "before 2000", "other topics"],
)
def test_what_is_no_review_is_left_out(session: PastSession) -> None:
    """The API's history is not trusted."""
    assert due_sounds([session], "en", NOW) == ()


def test_a_sound_that_was_corrected_is_weak_although_a_drill_was_right() -> None:
    """One topic a sound."""
    assert list(sound_topics("en", weak=["θ"], good=["θ", "s"])) == [
        "weak_sound_en_θ",
        "sound_en_s",
    ]
