-- The batch is loaded whole: this row is its last write.
INSERT INTO OPERATIONS.BATCHES (
    batch_id, generation, first_drain, last_drain, rows_read, rows_loaded, rows_quarantined,
    first_position, last_position, checksum, loaded_at
)
SELECT
    :batch_id, :generation, :first_drain, :last_drain, :rows_read, :rows_loaded,
    :rows_quarantined, :first_position, :last_position, :checksum, CURRENT_TIMESTAMP::TIMESTAMP_NTZ
