-- Calls of specialists and their results; handoffs.py explains them.

-- name: call_specialist
-- Discards the result of an earlier call. Ignores a job from before the last restart.
UPDATE lesson SET called = :tutor, handback = NULL
WHERE id = :lesson AND restarts = :restarts AND closed_at IS NULL;

-- name: lock_caller
-- The claim allows one lesson of a tutor in a room, so the one that ends now is the one that was
-- called. A second result for the same call finds no row. The lock keeps re-encryption away between
-- reading the key and writing with it.
SELECT id, key_id FROM lesson
WHERE room = :room AND called = :tutor AND handback IS NULL AND closed_at IS NULL FOR UPDATE;

-- name: save_handback
UPDATE lesson SET handback = :handback WHERE id = :lesson;

-- name: handbacks
SELECT id, key_id, called, handback FROM lesson
WHERE room = :room AND handback IS NOT NULL AND closed_at IS NULL;

-- name: end_call
-- Not if the lesson has called another specialist since.
UPDATE lesson SET called = NULL, handback = NULL WHERE id = :lesson AND called = :tutor;
