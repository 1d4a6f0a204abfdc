-- Errors of a vintage's forecasts once its days are over, against what was known on `scored_on`; NULL if there is none.
CREATE TABLE IF NOT EXISTS FORECASTS.SCORES (
    business_date DATE,
    scored_on DATE,
    horizon_from BIGINT,
    horizon_to BIGINT,
    state VARCHAR,
    release_id VARCHAR,
    wape DOUBLE,
    bias DOUBLE,
    coverage_90 DOUBLE,
    series_count BIGINT,
    row_count BIGINT,
    strongest_simple_wape DOUBLE,
    expected_wape DOUBLE,
    expected_bias DOUBLE
)
