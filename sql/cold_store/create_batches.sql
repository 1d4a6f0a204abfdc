-- One row a batch that is loaded whole; the last one says where the next batch begins.
CREATE TABLE IF NOT EXISTS OPERATIONS.BATCHES (
    batch_id VARCHAR,
    generation BIGINT,
    first_drain BIGINT,
    last_drain BIGINT,
    rows_read BIGINT,
    rows_loaded BIGINT,
    rows_quarantined BIGINT,
    first_position BIGINT,
    last_position BIGINT,
    first_committed_at TIMESTAMP,
    last_committed_at TIMESTAMP,
    checksum BIGINT,
    loaded_at TIMESTAMP
)
