-- The ledger in Postgres. Tables, columns and views are the same in SQLite, so that both share their
-- queries. What is 0 or 1 is an INTEGER for the same reason.

-- The clock that all hosts share; it goes on within a transaction, as SQLite's does.
CREATE FUNCTION unix_now() RETURNS DOUBLE PRECISION LANGUAGE sql VOLATILE AS
$$ SELECT extract(epoch FROM clock_timestamp())::DOUBLE PRECISION $$;

CREATE TABLE schema_version (
    version INTEGER PRIMARY KEY,
    applied_at DOUBLE PRECISION NOT NULL
);

-- A host lives while its lease lasts. A dead host's row stays for an hour: how long ago the lease
-- ended says who may take over its open lessons.
CREATE TABLE host (
    id TEXT PRIMARY KEY,
    renewed_at DOUBLE PRECISION NOT NULL,
    lease_until DOUBLE PRECISION NOT NULL
);

-- A lease that was renewed in the future was written before the database's clock was set back. It
-- counts for nothing: otherwise a dead host would live on for as long as the clock was ahead.
CREATE VIEW living_host AS
SELECT id FROM host WHERE renewed_at <= unix_now() AND lease_until > unix_now();

-- `owner` is the host that delivers the lesson's outbox and restores its tutor. `user_id`, `progress`,
-- `state` and `reasons` are encrypted with the key that `key_id` names; `user_blind_index` is an HMAC
-- by which a learner's lessons are found. Times are unix seconds.
CREATE TABLE lesson (
    id TEXT PRIMARY KEY,
    session_id TEXT NOT NULL UNIQUE,
    visit TEXT NOT NULL,
    room TEXT NOT NULL,
    entry TEXT NOT NULL,
    tutor TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    key_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    user_blind_index TEXT NOT NULL,
    opened_at DOUBLE PRECISION NOT NULL,
    closed_at DOUBLE PRECISION,
    seconds DOUBLE PRECISION NOT NULL DEFAULT 0,
    progress TEXT,
    state TEXT NOT NULL,
    reasons TEXT,
    restarts INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    interrupted INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX lesson_room ON lesson (room);
CREATE INDEX lesson_open ON lesson (room, tutor) WHERE closed_at IS NULL;
CREATE INDEX lesson_closed ON lesson (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX lesson_user ON lesson (user_blind_index);
CREATE INDEX lesson_key ON lesson (key_id);
CREATE INDEX lesson_owner ON lesson (owner);

-- Undelivered progress and records, in order of `id` within a lesson. `payload` and `dead_reason` are
-- encrypted with the lesson's key. A dead letter has a `dead_at` and is not sent again;
-- `unknown_learner` says that the API has no such learner. `maybe_delivered` is set before an attempt
-- and says that the API may have it.
CREATE TABLE outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lesson_id TEXT NOT NULL REFERENCES lesson (id),
    kind TEXT NOT NULL,
    idempotency_key TEXT NOT NULL UNIQUE,
    payload TEXT NOT NULL,
    owner TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    maybe_delivered INTEGER NOT NULL DEFAULT 0,
    not_before DOUBLE PRECISION NOT NULL DEFAULT 0,
    dead_at DOUBLE PRECISION,
    dead_reason TEXT,
    unknown_learner INTEGER NOT NULL DEFAULT 0,
    UNIQUE (lesson_id, kind)
);
CREATE INDEX outbox_pending ON outbox (owner, lesson_id, id) WHERE dead_at IS NULL;
CREATE INDEX outbox_dead ON outbox (dead_at) WHERE dead_at IS NOT NULL;

-- A room has one tutor of a kind: the primary key says so, whatever hosts do at the same time. A claim
-- with a lesson lasts while its host lives; one without, for a tutor on its way, until it expires.
CREATE TABLE claim (
    room TEXT NOT NULL,
    tutor TEXT NOT NULL,
    host TEXT NOT NULL,
    lesson_id TEXT REFERENCES lesson (id) ON DELETE CASCADE,
    claimed_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (room, tutor)
);
CREATE INDEX claim_lesson ON claim (lesson_id);

CREATE TABLE refusal (
    room TEXT NOT NULL,
    entry TEXT NOT NULL,
    tutor TEXT NOT NULL,
    refused_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (room, entry, tutor)
);
