-- Every forecast by vintage: a row an active series and day ahead, with a forecast or the reason why there is none. A vintage
-- whose release_cutoff is after its business_date is hindsight: its release knew days that it forecasts, so nothing scores it.
CREATE TABLE IF NOT EXISTS FORECASTS.LEDGER (
    business_date DATE,
    series_id VARCHAR,
    store_id VARCHAR,
    item_id VARCHAR,
    sales_date DATE,
    horizon_days BIGINT,
    release_id VARCHAR,
    generation VARCHAR,
    mean DOUBLE,
    q05 DOUBLE,
    q25 DOUBLE,
    q50 DOUBLE,
    q75 DOUBLE,
    q95 DOUBLE,
    reason_code VARCHAR,
    run_id VARCHAR,
    release_cutoff DATE
)
