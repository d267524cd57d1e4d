"""Records: the ledger of lessons, its outbox for the API, and their delivery.

What they promise, whatever ends, dies, hangs or is set wrong, in whatever order:

1. What the ledger has acknowledged is never lost: an entry stays in the outbox until the API has
   it, or becomes a dead letter with the reason for which the API refused it.
2. A record arrives exactly once at an API that honours idempotency keys, and at one that ignores
   them but shows what it took in `session_history`.
3. The entries of a lesson arrive in order: progress never falls, the final one is the last, and the
   record comes after it.
4. A lesson has at most one unsent progress; a later one takes its place. A closed lesson takes
   none. If it was closed without its job, what that job ends it with takes the place of it all, or
   of nothing where the API may have some of it.
5. Session ids are never used twice.
6. A room has one open lesson of a tutor, and one job that teaches it, whatever hosts share the
   ledger. Updates from a job whose lesson another one teaches by now are discarded.
7. What a dead host left is finished by a living one, an open lesson for a minute only by one that
   runs its tutor; a host that lost its lease sends nothing that another has taken over.
8. What was acknowledged while the ledger was out of reach is in the spool, and in the ledger once
   that is back: by the same process or the next.
9. No wall clock, however wrong, holds an entry back for more than an hour.
"""
