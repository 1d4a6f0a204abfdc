-- The log position up to which the slot's reader has everything on disk, as a number of bytes.
SELECT confirmed_flush_lsn - '0/0'::pg_lsn FROM pg_replication_slots WHERE slot_name = %s
