"""Records: the ledger of lessons, its outbox of undelivered records, and their delivery.

Guarantees, whatever crashes, hangs or is misconfigured:

1. Acknowledged writes are never lost: an entry stays in the outbox until the API accepts it, or
   becomes a dead letter with the reason for which the API refused it.
2. A record arrives exactly once if the API honours idempotency keys, or ignores them but lists
   accepted records in `session_history`.
3. The entries of a lesson arrive in order: progress never decreases, the final progress is the
   last, and the record follows it.
4. A lesson has at most one unsent progress; a later one replaces it. A closed lesson accepts no
   progress. If a lesson was closed without its job, and the job reports its end later, that report
   replaces what was written, unless the API may already have some of it.
5. Session ids are unique.
6. A room has one open lesson per tutor, and one job that teaches it, across all hosts that share
   the ledger. Updates from a job whose lesson another job has resumed are discarded.
7. A live host finishes the work of a dead one. For the first minute, only hosts that run the tutor
   take over an open lesson. A host whose lease has expired sends nothing that another has taken
   over.
8. Updates acknowledged while the ledger is unreachable are in the spool, and are written to the
   ledger when it is back, by the same process or the next.
9. A wrong wall clock delays an entry by an hour at most.
"""
