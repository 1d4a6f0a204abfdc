-- One tested quantity of a business date.
INSERT INTO OPERATIONS.DRIFT_CHECKS (
    business_date, feature, state, reference, row_count, reference_row_count, distance, shift,
    departure, p_value, q_value
)
SELECT
    :business_date::DATE, :feature::VARCHAR, :state::VARCHAR, :reference::VARCHAR, :rows::BIGINT,
    :reference_rows::BIGINT, :distance::DOUBLE, :shift::DOUBLE, :departure::DOUBLE, :p_value::DOUBLE, :q_value::DOUBLE
