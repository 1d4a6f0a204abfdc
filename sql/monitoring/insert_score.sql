-- One score of one vintage.
INSERT INTO FORECASTS.SCORES (
    business_date, scored_on, horizon_from, horizon_to, state, release_id, wape, bias, coverage_90, series_count,
    row_count, strongest_simple_wape, expected_wape, expected_bias
)
SELECT
    :business_date::DATE, :scored_on::DATE, :horizon_from::BIGINT, :horizon_to::BIGINT, :state::VARCHAR,
    :release_id::VARCHAR, :wape::DOUBLE, :bias::DOUBLE, :coverage_90::DOUBLE, :series_count::BIGINT,
    :row_count::BIGINT, :strongest_simple_wape::DOUBLE, :expected_wape::DOUBLE, :expected_bias::DOUBLE
