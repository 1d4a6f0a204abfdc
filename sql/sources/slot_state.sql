-- Whether the replication slot is being read, whether the server gave it up, and why; no row if there is none. While it
-- is being made it is busy too, but has no position yet. Older servers lack some of the columns: asked for as JSON, what
-- a server does not know is NULL.
SELECT
    active AND confirmed_flush_lsn IS NOT NULL AS is_read,
    COALESCE(TO_JSONB(slots) ->> 'wal_status' = 'lost', FALSE) AS is_lost,
    TO_JSONB(slots) ->> 'invalidation_reason' AS reason,
    CURRENT_SETTING('max_slot_wal_keep_size', TRUE) AS log_kept
FROM pg_replication_slots AS slots
WHERE slot_name = %s
