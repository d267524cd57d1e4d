-- Lessons: opening, updates, closing, deletion.

-- name: open_lessons
-- After `claim_tutor`, in its transaction, where others that open a lesson with this tutor wait.
SELECT * FROM lesson
WHERE room = :room AND tutor = :tutor AND closed_at IS NULL
ORDER BY opened_at;

-- name: crash_loop
SELECT 1 FROM lesson
WHERE room = :room AND tutor = :tutor AND entry = :entry AND entry != ''
    AND closed_at IS NOT NULL AND interrupted = 1 AND crashes >= :max_crashes;

-- name: resume_lesson
-- Incrementing `restarts` excludes the previous job, whose updates name the previous number.
UPDATE lesson SET restarts = restarts + 1, entry = :entry, owner = :host WHERE id = :lesson;

-- name: insert_lesson
-- Session ids are unique across hosts: if one is taken, this inserts nothing, and the next is tried.
INSERT INTO lesson (
    id, session_id, visit, room, entry, tutor, agent_id, owner,
    key_id, user_id, user_blind_index, opened_at, state
) VALUES (
    :id, :session_id, :visit, :room, :entry, :tutor, :agent_id, :owner,
    :key_id, :user_id, :user_blind_index, :opened_at, :state
) ON CONFLICT (session_id) DO NOTHING;

-- name: lock_lesson
-- The lesson that an update is for, unless the update is out of date: the lesson went on with another
-- job (`restarts`), or a job of another host that lives teaches it and did not write the update.
-- The lock keeps re-encryption, other updates and a takeover away until the update is written.
--
-- The owner stays, or becomes this host if it is dead. Here a lease counts by its end alone, also one
-- of the future: a host whose lease is in doubt loses nothing by an update.
SELECT
    id, key_id, room, tutor, closed_at, interrupted, progress,
    CASE
        WHEN owner IN (SELECT id FROM host WHERE lease_until > unix_now()) THEN owner
        ELSE :host
    END AS owner
FROM lesson
WHERE id = :lesson AND restarts = :restarts AND NOT EXISTS (
    SELECT 1 FROM claim
    WHERE lesson_id = lesson.id AND host NOT IN (:host, :writer)
        AND host IN (SELECT id FROM host WHERE lease_until > unix_now())
) FOR UPDATE;

-- name: save_progress
UPDATE lesson SET seconds = :seconds, progress = :progress, state = :state, owner = :owner
WHERE id = :lesson;

-- name: close_lesson
UPDATE lesson SET
    closed_at = :closed_at,
    reasons = :reasons,
    interrupted = :interrupted,
    entry = :entry,
    owner = :owner,
    called = NULL,
    handback = NULL
WHERE id = :lesson;

-- name: save_crashes
-- Ignores a job from before the last restart.
UPDATE lesson SET crashes = :crashes WHERE id = :lesson AND restarts = :restarts;

-- name: save_entry
UPDATE lesson SET entry = :entry WHERE id = :lesson;

-- name: insert_refusal
INSERT INTO refusal (room, entry, tutor, refused_at) VALUES (:room, :entry, :tutor, unix_now())
ON CONFLICT (room, entry, tutor) DO NOTHING;

-- name: closed_entries
-- `rooms` is a JSON object whose keys are the rooms: both databases read keys by `json_each`. One
-- query for all rooms, because the host reads each of them every few seconds.
SELECT room, entry, tutor FROM lesson
WHERE room IN (SELECT key FROM json_each(:rooms)) AND closed_at IS NOT NULL
UNION
SELECT room, entry, tutor FROM refusal WHERE room IN (SELECT key FROM json_each(:rooms));

-- name: lesson_by_session_id
SELECT * FROM lesson WHERE session_id = :session_id;

-- name: lock_lessons_of_learner
-- Locked until the transaction ends, so that a deletion sees everything it deletes.
SELECT * FROM lesson WHERE user_blind_index = :user_blind_index FOR UPDATE;

-- name: delete_lesson
DELETE FROM lesson WHERE id = :lesson;

-- name: lock_lesson_key
-- The lock excludes re-encryption between reading the key and writing with it.
SELECT key_id FROM lesson WHERE id = :lesson FOR UPDATE;

-- name: lock_lessons_of_other_keys
-- Two ranges instead of `!=`, which no index serves. Hosts that re-encrypt at the same time wait for
-- each other's rows and then check `key_id` again: the second finds nothing left to do.
SELECT * FROM lesson WHERE key_id < :key_id OR key_id > :key_id LIMIT :limit FOR UPDATE;

-- name: reencrypt_lesson
UPDATE lesson SET
    user_id = :user_id,
    progress = :progress,
    state = :state,
    reasons = :reasons,
    handback = :handback,
    user_blind_index = :user_blind_index,
    key_id = :key_id
WHERE id = :lesson;

-- name: delete_delivered_lessons
-- A lesson with entries is not deleted; if one is added concurrently, the foreign key refuses it.
-- Skips locked rows, so that no running lesson waits for this.
DELETE FROM lesson WHERE id IN (
    SELECT id FROM lesson
    WHERE closed_at < :closed_before
        AND NOT EXISTS (SELECT 1 FROM outbox WHERE lesson_id = lesson.id)
    LIMIT 1000 FOR UPDATE SKIP LOCKED
);
