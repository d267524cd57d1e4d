"""Coordination of hosts, so that a learner has one job per tutor and a record arrives once.

It uses three facts in the ledger, and only the database's clock:

* A host has a **lease** and renews it. A host whose lease has expired counts as dead.
* A lesson has an **owner**, the host that delivers its outbox and restores its tutor. Other hosts
  take over the unfinished lessons of a dead host. An open lesson is left for a while to the hosts
  that run its tutor.
* A **claim** on (room, tutor) is unique, so a room has one job per tutor. A claim names the lesson
  that a job teaches and lasts while the host of that job lives. Before the lesson is known, it
  names the host that dispatches the tutor or has accepted its job, and expires within seconds.

The database's clock may be set. A lease or claim from the future was written before the clock was
set back, and is ignored. Living hosts renew their leases before any takeover.

An open lesson without a living host's claim is interrupted. Each resumption increments its
`restarts`; updates from earlier jobs are discarded.

These functions run in the caller's transaction. sql/queries/leases.sql explains why each query is
safe with concurrent hosts.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
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
    "report_tutors",
    "specialists_of_others",
    "take_over",
]

LEASE = 15.0
"""Seconds; longer than an API call, which thus ends before another host takes over."""

TAKEOVER_DELAY = 60.0
"""Seconds for which a dead host's open lesson is left to the hosts that run its tutor."""

TAKEN_AT_ONCE = 500
"""Maximum of lessons taken over in one transaction, so that several hosts share them."""


@dataclass(frozen=True, slots=True)
class LeaseClaims:
    """Tutors that other hosts have in a room: in a lesson, or dispatched."""

    taught: frozenset[str] = frozenset()
    called: frozenset[str] = frozenset()


def renew_lease(db: DatabaseConnection, host: str) -> bool:
    """Extend the lease from now; return False if it had expired, or is new."""
    if db.execute(QUERIES["renew_lease"], {"host": host, "lease": LEASE}).rowcount:
        return True
    db.execute(QUERIES["begin_lease"], {"host": host, "lease": LEASE})
    return False


def is_shared(db: DatabaseConnection, host: str) -> bool:
    """Return whether there are other living hosts."""
    return db.execute(QUERIES["other_living_host"], {"host": host}).fetchone() is not None


def report_tutors(db: DatabaseConnection, host: str, tutors: Mapping[str, str]) -> None:
    """Save which tutors a host runs, as agent names by tutor."""
    values = {"host": host, "tutors": json.dumps(dict.fromkeys(tutors))}
    db.execute(QUERIES["forget_tutors"], values)
    for tutor, agent_name in tutors.items():
        values = {"host": host, "tutor": tutor, "agent_name": agent_name}
        db.execute(QUERIES["report_tutor"], values)


def specialists_of_others(db: DatabaseConnection, host: str) -> dict[str, str]:
    """Return the specialists that other living hosts run, as agent names by tutor."""
    rows = db.execute(QUERIES["specialists_of_others"], {"host": host}).fetchall()
    return {row["tutor"]: row["agent_name"] for row in rows}


def end_lease(db: DatabaseConnection, host: str) -> None:
    """End the lease, so that others take over this host's lessons at once."""
    db.execute(QUERIES["end_lease"], {"host": host})


def release(db: DatabaseConnection, host: str, lesson: str) -> None:
    """Release an open lesson and its entries to other hosts, as if this host had died.

    The new owner is a made-up host whose lease has just ended, so that the takeover delay starts
    now. A lesson that another host already owns stays with it.
    """
    release_claim(db, host, lesson)
    successor = f"{host}-released"
    db.execute(QUERIES["begin_lease"], {"host": successor, "lease": 0.0})
    values = {"heir": successor, "lesson": lesson, "host": host}
    db.execute(QUERIES["release_lesson"], values)
    db.execute(QUERIES["release_entries"], values)


def take_over(db: DatabaseConnection, host: str, tutors: Collection[str]) -> int:
    """Take over unfinished lessons of dead hosts; return how many, at most `TAKEN_AT_ONCE`.

    A lesson's entries move with it, so that only one host sends them.

    Args:
        db: The transaction.
        host: The host, which has renewed its lease.
        tutors: The tutors that it runs.
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
    """Claim a tutor of a room; return False if the room has one, or another host dispatches one.

    Args:
        db: The transaction. Others see the claim when it ends.
        host: The host.
        room: The room.
        tutor: The tutor's name.
        seconds: How long the claim lasts without a lesson.
        arrived: Whether there is already a job, which overrides a claim for a dispatch.
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
    """Delete dead hosts, expired claims and old refusals."""
    db.execute(QUERIES["delete_dead_hosts"])
    db.execute(QUERIES["delete_expired_claims"])
    db.execute(QUERIES["delete_old_refusals"])


def claims_of_others(
    db: DatabaseConnection, host: str, rooms: Iterable[str]
) -> dict[str, LeaseClaims]:
    """Return the tutors that other living hosts have in these rooms, or dispatch there, by room."""
    taught: dict[str, set[str]] = {room: set() for room in rooms}
    called: dict[str, set[str]] = {room: set() for room in taught}
    values = {"rooms": json.dumps(dict.fromkeys(taught)), "host": host}
    for row in db.execute(QUERIES["claims_of_others"], values).fetchall():
        tutors = called if row["lesson_id"] is None else taught
        tutors[row["room"]].add(row["tutor"])
    return {
        room: LeaseClaims(taught=frozenset(taught[room]), called=frozenset(called[room]))
        for room in taught
    }
