-- Rows that were refused, each with its reason and as it came.
CREATE TABLE IF NOT EXISTS QUARANTINE.BAD_ROWS (
    batch_id VARCHAR,
    table_name VARCHAR,
    row_key VARCHAR,
    op VARCHAR,
    position BIGINT,
    position_ordinal BIGINT,
    generation BIGINT,
    committed_at TIMESTAMP,
    reason VARCHAR,
    row_json VARCHAR
)
