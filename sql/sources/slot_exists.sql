-- Whether the replication slot is being read; no row if there is none. While it is being made it is busy too, but has
-- no position yet.
SELECT active AND confirmed_flush_lsn IS NOT NULL AS is_read FROM pg_replication_slots WHERE slot_name = %s
