"""Which host does what, so that a learner has one tutor of a kind and a record arrives once.

Three facts in the ledger, and no clock but the database's own:

* A host has a **lease**, which it renews; a host whose lease ran out counts as dead.
* A lesson has an **owner**: the host that delivers its outbox and restores its tutor. Others take
  over what a dead host owned and had not finished; an open lesson is left for a while to the hosts
  that run its tutor.
* A **claim** on (room, tutor) is unique: a room has one tutor of a kind, and so have its learners.
  A claim names the lesson that a job teaches, for as long as the host of that job lives; or, for
  seconds, the host that calls the tutor or has taken its job, while nobody knows for which learner.

The database's clock may be set. A lease or claim of the future was written before the clock was set
back and counts for nothing. Living hosts renew their leases before anybody takes over.

An open lesson without a living host's claim was interrupted. Each resumption counts its `restarts`:
updates from a job that taught it before are discarded.

These functions run in a transaction that the caller ends; sql/queries/leases.sql says why each is
safe beside other hosts.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .database import DatabaseConnection, Row
from .queries import QUERIES

__all__ = [
    "LEASE",
    "TAKEOVER_DELAY",
    "LeaseClaims",
    "claim",
    "claims_of_others",
    "delete_expired",
    "end_lease",
    "interrupted_lessons",
    "is_shared",
    "release",
    "release_claim",
    "renew_lease",
    "take_over",
]

LEASE = 15.0
"""Seconds; longer than a call to the API may take, so that it has ended before others call."""

TAKEOVER_DELAY = 60.0
"""Seconds for which a dead host's open lesson is left to the hosts that run its tutor."""

TAKEN_AT_ONCE = 500
"""Lessons that are taken over in one transaction, so that several hosts get a share."""


@dataclass(frozen=True, slots=True)
class LeaseClaims:
    """Tutors that other hosts have in a room: in a lesson, or on their way."""

    taught: frozenset[str] = frozenset()
    called: frozenset[str] = frozenset()


def renew_lease(db: DatabaseConnection, host: str) -> bool:
    """Extend the lease from now; return False if it had run out, or is new."""
    if db.execute(QUERIES["renew_lease"], {"host": host, "lease": LEASE}).rowcount:
        return True
    db.execute(QUERIES["begin_lease"], {"host": host, "lease": LEASE})
    return False


def is_shared(db: DatabaseConnection, host: str) -> bool:
    """Return whether other hosts live."""
    return db.execute(QUERIES["other_living_host"], {"host": host}).fetchone() is not None


def end_lease(db: DatabaseConnection, host: str) -> None:
    """End the lease, so that others take over at once what this host leaves."""
    db.execute(QUERIES["end_lease"], {"host": host})


def release(db: DatabaseConnection, host: str, lesson: str) -> None:
    """Release an open lesson and its entries to other hosts, as if this host had died.

    They go to an heir: a host whose lease ends as it begins, so that the takeover delay counts from
    now. What is another host's by now stays so.
    """
    release_claim(db, host, lesson)
    heir = f"{host}-released"
    db.execute(QUERIES["begin_lease"], {"host": heir, "lease": 0.0})
    values = {"heir": heir, "lesson": lesson, "host": host}
    db.execute(QUERIES["release_lesson"], values)
    db.execute(QUERIES["release_entries"], values)


def take_over(db: DatabaseConnection, host: str, tutors: Collection[str]) -> int:
    """Own unfinished lessons of dead hosts; return how many, `TAKEN_AT_ONCE` at most.

    A lesson's entries always go with it, so that one host alone sends them.

    Args:
        db: The transaction.
        host: The host, which has renewed its lease.
        tutors: Those that it runs.
    """
    db.execute(QUERIES["delete_leases_of_the_future"])
    values = {
        "host": host,
        "tutors": json.dumps(dict.fromkeys(tutors)),
        "takeover_delay": TAKEOVER_DELAY,
        "limit": TAKEN_AT_ONCE,
    }
    taken = db.execute(QUERIES["take_over_lessons"], values).fetchall()
    for lesson in taken:
        db.execute(QUERIES["own_entries"], {"host": host, "lesson": lesson["id"]})
    return len(taken)


def interrupted_lessons(db: DatabaseConnection, host: str) -> Sequence[Row]:
    """Return this host's open lessons that no living host's job teaches, oldest first."""
    return db.execute(QUERIES["interrupted_lessons"], {"host": host}).fetchall()


def claim(
    db: DatabaseConnection, host: str, *, room: str, tutor: str, seconds: float, arrived: bool
) -> bool:
    """Claim a tutor of a room; return False if the room has one, or another host calls one.

    Args:
        db: The transaction, at whose end others see the claim.
        host: The host.
        room: The room.
        tutor: The tutor's name.
        seconds: How long the claim lasts without a lesson.
        arrived: Whether there is a job for it, which counts for more than one on its way.
    """
    values = {
        "room": room,
        "tutor": tutor,
        "host": host,
        "seconds": seconds,
        "arrived": int(arrived),
    }
    return db.execute(QUERIES["claim_tutor"], values).rowcount > 0


def release_claim(db: DatabaseConnection, host: str, lesson: str) -> None:
    """Release a lesson's claim, if it is this host's."""
    db.execute(QUERIES["release_claim"], {"lesson": lesson, "host": host})


def delete_expired(db: DatabaseConnection) -> None:
    """Delete dead hosts, claims that came to nothing and refusals of learners who left long ago."""
    db.execute(QUERIES["delete_dead_hosts"])
    db.execute(QUERIES["delete_expired_claims"])
    db.execute(QUERIES["delete_old_refusals"])


def claims_of_others(db: DatabaseConnection, host: str, room: str) -> LeaseClaims:
    """Return what other living hosts have in a room, or bring there."""
    rows = db.execute(QUERIES["claims_of_others"], {"room": room, "host": host}).fetchall()
    return LeaseClaims(
        taught=frozenset(row["tutor"] for row in rows if row["lesson_id"] is not None),
        called=frozenset(row["tutor"] for row in rows if row["lesson_id"] is None),
    )
