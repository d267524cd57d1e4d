-- Which region teaches; regions.py explains it.

-- name: begin_active_region
INSERT INTO active_region (only_row, name, since) VALUES (1, :primary, unix_now())
ON CONFLICT (only_row) DO NOTHING;

-- name: report_region
-- Changes one row that only this host writes. What it could do is believed as long as its lease.
UPDATE host SET
    region = :region,
    ready_until = CASE WHEN :ready = 1 THEN lease_until ELSE ready_until END
WHERE id = :host;

-- name: fail_over
-- Of two hosts that do this at the same time, the second waits for the first one's row lock, then
-- finds its own region's name or a recent `since`, and changes nothing.
UPDATE active_region SET name = :region, since = unix_now()
WHERE name != :region AND since <= unix_now() - :failover_after AND name NOT IN (
    SELECT region FROM host WHERE region IS NOT NULL AND ready_until > unix_now() - :failover_after
);

-- name: activate_region
-- Only a region of which some host has reported, so that a misspelt one does not stop all lessons.
UPDATE active_region SET name = :region, since = unix_now()
WHERE :region IN (SELECT region FROM host WHERE region IS NOT NULL);

-- name: active_region
SELECT name, since FROM active_region;

-- name: ready_hosts
SELECT region, count(*) AS hosts FROM host
WHERE region IS NOT NULL AND renewed_at <= unix_now() AND ready_until > unix_now()
GROUP BY region;
