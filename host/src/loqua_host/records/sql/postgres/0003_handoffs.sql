-- The tutors that each host runs, so that others can call the specialists among them: leases.py.
CREATE TABLE host_tutor (
    host TEXT NOT NULL REFERENCES host (id) ON DELETE CASCADE,
    tutor TEXT NOT NULL,
    agent_name TEXT NOT NULL,
    PRIMARY KEY (host, tutor)
);

-- The specialist that a lesson has called and its result, which is encrypted: handoffs.py. A host of
-- the version before writes neither column.
ALTER TABLE lesson ADD COLUMN called TEXT;
ALTER TABLE lesson ADD COLUMN handback TEXT;
