-- Whether the replication slot is being read; no row if there is none.
SELECT active FROM pg_replication_slots WHERE slot_name = %s
