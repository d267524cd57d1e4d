-- The table `schema_version`, in which each migration leaves its number.

-- name: schema_version
SELECT coalesce(max(version), 0) AS version FROM schema_version;

-- name: insert_schema_version
INSERT INTO schema_version (version, applied_at) VALUES (:version, unix_now());
