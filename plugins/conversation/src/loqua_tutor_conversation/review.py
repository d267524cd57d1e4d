"""Spaced repetition of topics from earlier sessions, by FSRS.

The API returns the topics of earlier sessions and nothing else that lasts from one session to the
next, so a topic is what is scheduled, with the words of its turns. A session with the topic is a
successful review, because a topic is reported only when the learner answered to it.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

from fsrs import Card, Rating, Scheduler

from loqua_host import PastSession

__all__ = ["due_topics"]

_EARLIEST = 2000
"""The year before which a date is a mistake."""

_SCHEDULER = Scheduler(learning_steps=(), relearning_steps=(), enable_fuzzing=False)
"""Without steps of minutes, because reviews are sessions apart; without randomness."""


def due_topics(history: Iterable[PastSession], now: datetime) -> tuple[str, ...]:
    """Return the topics that are due for a review, the longest overdue first.

    Args:
        history: Earlier sessions, in any order.
        now: The time, with its zone.
    """
    reviews: dict[str, list[datetime]] = defaultdict(list)
    for past in history:
        if past.date is not None and past.date.year >= _EARLIEST and past.date <= now:
            for topic in past.topics_covered:
                reviews[topic].append(past.date.astimezone(UTC))
    due = {topic: _due(dates) for topic, dates in reviews.items()}
    return tuple(sorted((it for it in due if due[it] <= now), key=lambda it: due[it]))


def _due(dates: list[datetime]) -> datetime:
    card = Card(card_id=0)
    for date in sorted(dates):
        card, _ = _SCHEDULER.review_card(card, Rating.Good, date)
    return card.due
