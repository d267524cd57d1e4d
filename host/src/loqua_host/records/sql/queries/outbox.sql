-- The outbox: undelivered progress and records.
--
-- A replaced entry gets another idempotency key. Queries that change an entry name its key, so they
-- change nothing if it has been replaced.

-- name: put_entry
-- A lesson has one entry of a kind: newer progress replaces an unsent one or a dead letter.
-- `maybe_delivered`, `attempts` and `not_before` stay, so that the backoff continues.
INSERT INTO outbox (lesson_id, kind, idempotency_key, payload, owner)
VALUES (:lesson, :kind, :idempotency_key, :payload, :owner)
ON CONFLICT (lesson_id, kind) DO UPDATE SET
    idempotency_key = excluded.idempotency_key,
    payload = excluded.payload,
    owner = excluded.owner,
    dead_reason = NULL,
    dead_at = NULL;

-- name: lock_unsent_entries
-- A sender first marks the entry (`mark_sending`), which waits for this lock. So entries that are
-- unsent here stay unsent until the transaction ends, and may be replaced.
SELECT kind FROM outbox WHERE lesson_id = :lesson AND maybe_delivered = 0 FOR UPDATE;

-- name: pending_lessons
SELECT lesson_id, not_before FROM outbox
WHERE dead_at IS NULL AND owner = :host AND lesson_id > :after
ORDER BY lesson_id, id
LIMIT :limit;

-- name: backlog
SELECT
    count(*) FILTER (WHERE kind = 'record' AND dead_at IS NULL) AS records,
    count(*) FILTER (WHERE kind != 'record' AND dead_at IS NULL) AS progress,
    count(dead_at) AS dead,
    min(closed_at) FILTER (WHERE kind = 'record' AND dead_at IS NULL) AS oldest
FROM outbox JOIN lesson ON lesson.id = outbox.lesson_id;

-- name: next_entry
SELECT kind, idempotency_key, payload, attempts, maybe_delivered, not_before, lesson.*
FROM outbox JOIN lesson ON lesson.id = outbox.lesson_id
WHERE outbox.lesson_id = :lesson AND outbox.owner = :host AND dead_at IS NULL
ORDER BY outbox.id
LIMIT 1;

-- name: mark_sending
-- Committed before the entry is sent: a crash in between leaves it as maybe delivered, and the next
-- attempt asks the API first. It changes no row, and nothing is sent, if another host owns the entry
-- or newer progress has replaced it.
UPDATE outbox SET attempts = attempts + 1, maybe_delivered = 1
WHERE idempotency_key = :idempotency_key AND owner = :host;

-- name: delete_entry
DELETE FROM outbox WHERE idempotency_key = :idempotency_key;

-- name: postpone_entry
UPDATE outbox SET not_before = :not_before, maybe_delivered = :maybe_delivered
WHERE idempotency_key = :idempotency_key;

-- name: dead_letter
UPDATE outbox SET
    dead_reason = :reason,
    dead_at = :dead_at,
    maybe_delivered = :maybe_delivered,
    unknown_learner = :unknown_learner
WHERE idempotency_key = :idempotency_key;

-- name: dead_letter_unreadable
UPDATE outbox SET dead_reason = :reason, dead_at = unix_now()
WHERE idempotency_key = :idempotency_key;

-- name: entries
SELECT outbox.*, lesson.user_id, lesson.session_id, lesson.tutor, lesson.key_id
FROM outbox JOIN lesson ON lesson.id = outbox.lesson_id
ORDER BY outbox.id;

-- name: entries_of_lesson
SELECT * FROM outbox WHERE lesson_id = :lesson ORDER BY id;

-- name: delete_entries
DELETE FROM outbox WHERE lesson_id = :lesson;

-- name: resend_dead_letters
UPDATE outbox SET dead_reason = NULL, dead_at = NULL, attempts = 0, not_before = 0
WHERE dead_at IS NOT NULL;

-- name: resend_entries
UPDATE outbox SET dead_reason = NULL, dead_at = NULL, attempts = 0, not_before = 0
WHERE lesson_id = (SELECT id FROM lesson WHERE session_id = :session_id);

-- name: reencrypt_entry
-- Under the lock of its lesson (`lock_lessons_of_other_keys`): both have one key.
UPDATE outbox SET payload = :payload, dead_reason = :dead_reason WHERE id = :entry;

-- name: delete_dead_letters
-- Those of unknown learners only, or all. Skips locked rows.
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox
    WHERE dead_at < :dead_before AND unknown_learner >= :unknown_learner
    LIMIT 1000 FOR UPDATE SKIP LOCKED
);
