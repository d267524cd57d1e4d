-- Which region teaches, and when each host could last teach: regions.py. A host of the version before
-- writes neither column.
ALTER TABLE host ADD COLUMN region TEXT;
ALTER TABLE host ADD COLUMN ready_until DOUBLE PRECISION NOT NULL DEFAULT 0;

CREATE TABLE active_region (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    name TEXT NOT NULL,
    since DOUBLE PRECISION NOT NULL
);
