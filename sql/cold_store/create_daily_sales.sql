-- Versions of what was sold on a day: a row whenever the value, as known, changed.
CREATE TABLE IF NOT EXISTS FEATURES.DAILY_SALES (
    series_id VARCHAR,
    store_id VARCHAR,
    item_id VARCHAR,
    sales_date DATE,
    units_sold DOUBLE,
    is_stocked_out BOOLEAN,
    known_at TIMESTAMP
)
