"""Spaced repetition of weak sounds, by FSRS.

The API returns the topics of earlier sessions and nothing else that lasts from one session to the
next, so a report names sounds as topics: `weak_sound_en_θ` for one that was corrected, and
`sound_en_θ` for one that was practised and needed no correction.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from fsrs import Card, Rating, Scheduler

from loqua_host import PastSession

__all__ = ["due_sounds", "sound_topics"]

_EARLIEST = 2000
"""The year before which a date is a mistake."""

_SCHEDULER = Scheduler(learning_steps=(), relearning_steps=(), enable_fuzzing=False)
"""Without steps of minutes, because reviews are sessions apart; without randomness."""

_Reviews = list[tuple[datetime, Rating]]


def sound_topics(language: str, weak: Iterable[str], good: Iterable[str]) -> Iterator[str]:
    """Yield a session's topics about sounds.

    Args:
        language: ISO 639-1 code.
        weak: Sounds that were corrected.
        good: Sounds that were practised; those that were corrected too are weak.
    """
    corrected = set(weak)
    yield from (f"weak_sound_{language}_{sound}" for sound in sorted(corrected))
    yield from (f"sound_{language}_{sound}" for sound in sorted(set(good) - corrected))


def due_sounds(history: Iterable[PastSession], language: str, now: datetime) -> tuple[str, ...]:
    """Return the sounds that were weak once and are due, the longest overdue first.

    Args:
        history: Earlier sessions, in any order.
        language: ISO 639-1 code.
        now: The time, with its zone.
    """
    reviews: dict[str, _Reviews] = defaultdict(list)
    for past in history:
        if past.date is not None and past.date.year >= _EARLIEST and past.date <= now:
            for topic in past.topics_covered:
                if found := _review(topic, language):
                    sound, rating = found
                    reviews[sound].append((past.date.astimezone(UTC), rating))
    due = {sound: _due(of_sound) for sound, of_sound in reviews.items() if _was_weak(of_sound)}
    return tuple(sorted((it for it in due if due[it] <= now), key=lambda it: due[it]))


def _review(topic: str, language: str) -> tuple[str, Rating] | None:
    for prefix, rating in (("weak_sound", Rating.Again), ("sound", Rating.Good)):
        if topic.startswith(start := f"{prefix}_{language}_"):
            return topic.removeprefix(start), rating
    return None


def _was_weak(reviews: _Reviews) -> bool:
    return any(rating == Rating.Again for _, rating in reviews)


def _due(reviews: _Reviews) -> datetime:
    card = Card(card_id=0)
    for date, rating in sorted(reviews, key=lambda it: it[0]):
        card, _ = _SCHEDULER.review_card(card, rating, date)
    return card.due
