"""Which host does what, so that a learner has one tutor of a kind and a record arrives once.

Three facts in the ledger, and no clock but the database's own:

* A host has a **lease**, which it renews; one whose lease ran out is taken to be dead.
* A lesson has an **owner**: the host that delivers what it owes and restores its tutor. Others take
  over what a dead host owned and had not finished; an open lesson is left to those that run its
  tutor for a while.
* A **claim** on (room, tutor) is unique: a room has one tutor of a kind, so its learners have. It
  names the lesson that a job teaches, for as long as the host of that job lives; or, for seconds,
  the host that calls the tutor or has taken its job, when nobody knows yet for which learner.

Should that clock be set, a moment further ahead than any that is ever written is no promise: it was
written before the clock was set back. Whoever lives renews its lease before anybody takes over.

A lesson that is open and in no living host's claim was interrupted. Bringing a tutor back counts
its `restarts`: what a job says that taught it before is not written any more.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .database import Connection, Row

__all__ = [
    "LEASE",
    "STRANGERS_WAIT",
    "Claims",
    "adopt",
    "claim",
    "claims_in",
    "forget",
    "free",
    "interrupted",
    "is_renewed",
    "is_shared",
    "release",
    "resign",
]

LEASE = 15.0
"""Seconds; longer than a call to the API may take, so that its end is known before others call."""

LONGEST_CLAIM = 60.0
"""Seconds; longer than any claim without a lesson is made for."""

LEASED = f"lease_until > unix_now() AND lease_until <= unix_now() + {LEASE}"
LIVING = f"SELECT id FROM host WHERE {LEASED}"
CLAIMED = f"claim.until > unix_now() AND claim.until <= unix_now() + {LONGEST_CLAIM}"

STRANGERS_WAIT = 60.0
"""Seconds that a dead host's open lesson is left to the hosts that run its tutor."""

AT_ONCE = 500
"""Lessons that are taken over in one transaction, so that several hosts get a share."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Tutors that other hosts have in a room: in a lesson, or on their way."""

    taught: frozenset[str] = frozenset()
    called: frozenset[str] = frozenset()


def is_renewed(db: Connection, host: str) -> bool:
    """Have the lease last from now; False if it had run out, or is new."""
    kept = db.execute(
        f"UPDATE host SET lease_until = unix_now() + ? WHERE id = ? AND {LEASED}",
        (LEASE, host),
    )
    if kept.rowcount:
        return True
    db.execute(
        "INSERT INTO host (id, lease_until) VALUES (?, unix_now() + ?)"
        " ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until",
        (host, LEASE),
    )
    return False


def is_shared(db: Connection, host: str) -> bool:
    """Say whether other hosts live."""
    return db.execute(f"{LIVING} AND id != ?", (host,)).fetchone() is not None


def resign(db: Connection, host: str) -> None:
    """Let the others have at once what this host leaves."""
    db.execute("UPDATE host SET lease_until = unix_now() WHERE id = ?", (host,))


def release(db: Connection, host: str, lesson: str) -> None:
    """Leave an open lesson and its rows to the others, as if this host had just died."""
    free(db, host, lesson)
    heir = f"{host}-released"  # a host that is dead from the beginning
    db.execute(
        "INSERT INTO host (id, lease_until) VALUES (?, unix_now())"
        " ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until",
        (heir,),
    )
    for table, key in (("lesson", "id"), ("owed", "lesson")):
        db.execute(
            f"UPDATE {table} SET owner = ? WHERE {key} = ? AND owner = ?", (heir, lesson, host)
        )


def adopt(db: Connection, host: str, tutors: Collection[str]) -> int:
    """Own what no living host owns and is not finished; gives how many lessons, `AT_ONCE` at most.

    A lesson's rows always go with it, so that one host alone sends them.

    Args:
        db: The transaction.
        host: Who adopts.
        tutors: Those that it runs.
    """
    # Whoever lives has renewed what it had before the clock was set back.
    db.execute(f"DELETE FROM host WHERE lease_until > unix_now() + {LEASE}")
    known = ", ".join("?" for _ in ("", *tutors))
    taken = db.execute(
        "UPDATE lesson SET owner = ? WHERE id IN (SELECT id FROM lesson WHERE"
        f" (closed_at IS NOT NULL OR tutor IN ({known})"
        " OR owner NOT IN (SELECT id FROM host WHERE lease_until > unix_now() - ?)) AND id IN ("
        f"SELECT lesson FROM owed WHERE dead_because IS NULL AND owner NOT IN ({LIVING})"
        f" UNION SELECT id FROM lesson WHERE closed_at IS NULL AND owner NOT IN ({LIVING}))"
        " LIMIT ? FOR UPDATE SKIP LOCKED) RETURNING id",
        (host, "", *tutors, STRANGERS_WAIT, AT_ONCE),
    ).fetchall()
    for lesson in taken:
        db.execute("UPDATE owed SET owner = ? WHERE lesson = ?", (host, lesson["id"]))
    return len(taken)


def interrupted(db: Connection, host: str) -> Sequence[Row]:
    """Get this host's open lessons that no living host's job teaches, oldest first."""
    return db.execute(
        "SELECT * FROM lesson WHERE owner = ? AND closed_at IS NULL"
        f" AND id NOT IN (SELECT lesson FROM claim WHERE lesson IS NOT NULL AND host IN ({LIVING}))"
        " ORDER BY opened_at",
        (host,),
    ).fetchall()


def claim(
    db: Connection, host: str, *, room: str, tutor: str, seconds: float, arrived: bool
) -> bool:
    """Claim a tutor of a room; False if the room has one, or another host calls one.

    Args:
        db: The transaction, at whose end others see it.
        host: Who claims.
        room: The room.
        tutor: The tutor's name.
        seconds: How long the claim lasts without a lesson.
        arrived: Whether there is a job for it, which stands above those who call one.
    """
    taken = db.execute(
        "INSERT INTO claim (room, tutor, host, until) VALUES (?, ?, ?, unix_now() + ?)"
        " ON CONFLICT (room, tutor) DO UPDATE"
        " SET host = excluded.host, until = excluded.until, lesson = NULL"
        " WHERE CASE WHEN claim.lesson IS NULL"
        f" THEN NOT ({CLAIMED})"
        " OR claim.host = excluded.host OR ? = 1"
        f" ELSE claim.host NOT IN ({LIVING}) END",
        (room, tutor, host, seconds, int(arrived)),
    )
    return taken.rowcount > 0


def free(db: Connection, host: str, lesson: str) -> None:
    """Let a lesson's claim go, if it is this host's."""
    db.execute("DELETE FROM claim WHERE lesson = ? AND host = ?", (lesson, host))


def forget(db: Connection) -> None:
    """Forget dead hosts, claims that came to nothing and refusals of who left long ago."""
    db.execute("DELETE FROM host WHERE lease_until <= unix_now() - 3600")
    db.execute(f"DELETE FROM claim WHERE lesson IS NULL AND NOT ({CLAIMED})")
    db.execute("DELETE FROM refusal WHERE at <= unix_now() - 86400")


def claims_in(db: Connection, host: str, room: str) -> Claims:
    """Get what other hosts that live have in a room, or bring there."""
    rows = db.execute(
        "SELECT tutor, lesson FROM claim WHERE room = ? AND host != ?"
        f" AND host IN ({LIVING}) AND (lesson IS NOT NULL OR ({CLAIMED}))",
        (room, host),
    ).fetchall()
    return Claims(
        taught=frozenset(row["tutor"] for row in rows if row["lesson"] is not None),
        called=frozenset(row["tutor"] for row in rows if row["lesson"] is None),
    )
