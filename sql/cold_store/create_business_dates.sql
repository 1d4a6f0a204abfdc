-- Business dates that are complete: the shop has closed them and everything before the close is loaded.
CREATE TABLE IF NOT EXISTS OPERATIONS.BUSINESS_DATES (
    business_date DATE,
    closed_at TIMESTAMP,
    position BIGINT,
    generation BIGINT,
    batch_id VARCHAR
)
