-- The batch is loaded whole: this row is its last write.
INSERT INTO OPERATIONS.BATCHES (
    batch_id, generation, first_drain, last_drain, rows_read, rows_loaded, rows_quarantined,
    first_position, last_position, first_committed_at, last_committed_at, checksum, loaded_at
)
SELECT
    :batch_id, :generation, :first_drain, :last_drain, :rows_read, :rows_loaded,
    :rows_quarantined, :first_position, :last_position,
    :first_committed_at::TIMESTAMP, :last_committed_at::TIMESTAMP, :checksum, CURRENT_TIMESTAMP::TIMESTAMP_NTZ
