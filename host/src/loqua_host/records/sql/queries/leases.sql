-- Leases, ownership and claims; leases.py explains them.
--
-- Postgres runs these at READ COMMITTED: a statement that waited for another transaction's row lock
-- checks that row's conditions again on what the other one wrote. SQLite has one writer at a time.

-- name: renew_lease
-- Changes one row that only this host writes. An expired lease is not renewed here, so that the
-- host notices that others may have taken over its lessons.
UPDATE host SET renewed_at = unix_now(), lease_until = unix_now() + :lease
WHERE id = :host AND id IN (SELECT id FROM living_host);

-- name: begin_lease
INSERT INTO host (id, renewed_at, lease_until) VALUES (:host, unix_now(), unix_now() + :lease)
ON CONFLICT (id) DO UPDATE SET renewed_at = excluded.renewed_at, lease_until = excluded.lease_until;

-- name: end_lease
UPDATE host SET lease_until = unix_now() WHERE id = :host;

-- name: end_all_leases
-- For SQLite only, whose file is locked by one host: the owners of other leases are gone.
UPDATE host SET lease_until = 0;

-- name: other_living_host
SELECT id FROM living_host WHERE id != :host LIMIT 1;

-- name: report_tutor
INSERT INTO host_tutor (host, tutor, agent_name) VALUES (:host, :tutor, :agent_name)
ON CONFLICT (host, tutor) DO UPDATE SET agent_name = excluded.agent_name
WHERE host_tutor.agent_name != excluded.agent_name;

-- name: forget_tutors
DELETE FROM host_tutor
WHERE host = :host AND tutor NOT IN (SELECT key FROM json_each(:tutors));

-- name: specialists_of_others
SELECT tutor, min(agent_name) AS agent_name FROM host_tutor
WHERE host != :host AND host IN (SELECT id FROM living_host) AND agent_name != ''
GROUP BY tutor;

-- name: release_lesson
UPDATE lesson SET owner = :heir WHERE id = :lesson AND owner = :host;

-- name: release_entries
UPDATE outbox SET owner = :heir WHERE lesson_id = :lesson AND owner = :host;

-- name: delete_leases_of_the_future
-- They were written before the clock was set back. Living hosts have renewed theirs since: a host
-- takes over only after it has renewed its lease, and all renew several times within one lease.
DELETE FROM host WHERE renewed_at > unix_now();

-- name: take_over_lessons
-- Lessons that are not finished and whose owner is dead. Two hosts do not take the same one: the
-- first locks its row, and `SKIP LOCKED` has the second choose among the others instead of waiting.
-- A host may see a lesson as free that another took in the moment before the lock; then the later
-- one owns it, which is safe, because a lesson has one owner at any time and only the owner sends
-- (`mark_sending`). A dead host that was only cut off is no longer the owner either.
--
-- `tutors` is a JSON object whose keys are the names: both databases read keys by `json_each`.
UPDATE lesson SET owner = :host WHERE id IN (
    SELECT id FROM lesson
    WHERE (
        closed_at IS NOT NULL
        OR tutor IN (SELECT key FROM json_each(:tutors))
        OR owner NOT IN (SELECT id FROM host WHERE lease_until > unix_now() - :takeover_delay)
    ) AND id IN (
        SELECT lesson_id FROM outbox
        WHERE dead_at IS NULL AND owner NOT IN (SELECT id FROM living_host)
        UNION
        SELECT id FROM lesson
        WHERE closed_at IS NULL AND owner NOT IN (SELECT id FROM living_host)
    )
    LIMIT :limit FOR UPDATE SKIP LOCKED
) RETURNING id;

-- name: own_entries
-- In the transaction that changes the lesson's owner, whose row lock it holds: a lesson and its
-- entries have one owner.
UPDATE outbox SET owner = :host WHERE lesson_id = :lesson;

-- name: interrupted_lessons
SELECT * FROM lesson
WHERE owner = :host AND closed_at IS NULL AND id NOT IN (
    SELECT lesson_id FROM claim
    WHERE lesson_id IS NOT NULL AND host IN (SELECT id FROM living_host)
)
ORDER BY opened_at;

-- name: claim_tutor
-- The primary key (room, tutor) decides between hosts that claim at the same time: the second insert
-- waits for the first one's transaction, then finds the row and checks the condition on it.
--
-- A claim with a lesson falls to others only when its host is dead. One without falls when it has
-- expired or was made in the future (before the clock was set back), to the host that made it, and
-- to a job that is there, which counts for more than one on its way.
INSERT INTO claim (room, tutor, host, claimed_at, expires_at)
VALUES (:room, :tutor, :host, unix_now(), unix_now() + :seconds)
ON CONFLICT (room, tutor) DO UPDATE SET
    host = excluded.host,
    claimed_at = excluded.claimed_at,
    expires_at = excluded.expires_at,
    lesson_id = NULL
WHERE CASE
    WHEN claim.lesson_id IS NOT NULL THEN claim.host NOT IN (SELECT id FROM living_host)
    ELSE claim.host = excluded.host
        OR :arrived = 1
        OR claim.claimed_at > unix_now()
        OR claim.expires_at <= unix_now()
END;

-- name: bind_claim
-- In the transaction of `claim_tutor`, so that the claim is this host's.
UPDATE claim SET lesson_id = :lesson WHERE room = :room AND tutor = :tutor;

-- name: release_claim
-- If another host has resumed the lesson, it keeps its claim.
DELETE FROM claim WHERE lesson_id = :lesson AND host = :host;

-- name: taught_claims
SELECT room, tutor, lesson_id FROM claim WHERE host = :host AND lesson_id IS NOT NULL;

-- name: delete_claim
DELETE FROM claim WHERE lesson_id = :lesson;

-- name: claims_of_others
-- `rooms` is a JSON object whose keys are the rooms, as in `closed_entries`.
SELECT room, tutor, lesson_id FROM claim
WHERE room IN (SELECT key FROM json_each(:rooms))
    AND host != :host AND host IN (SELECT id FROM living_host)
    AND (lesson_id IS NOT NULL OR (claimed_at <= unix_now() AND expires_at > unix_now()));

-- name: delete_dead_hosts
-- An hour is longer than any delay that is counted from the end of a lease.
DELETE FROM host WHERE lease_until <= unix_now() - 3600;

-- name: delete_expired_claims
DELETE FROM claim
WHERE lesson_id IS NULL AND (claimed_at > unix_now() OR expires_at <= unix_now());

-- name: delete_old_refusals
DELETE FROM refusal WHERE refused_at <= unix_now() - 86400;
