-- What the drift check found out about each tested quantity of a business date; numbers are NULL if it was not tested.
CREATE TABLE IF NOT EXISTS OPERATIONS.DRIFT_CHECKS (
    business_date DATE,
    feature VARCHAR,
    state VARCHAR,
    reference VARCHAR,
    row_count BIGINT,
    reference_row_count BIGINT,
    distance DOUBLE,
    shift DOUBLE,
    departure DOUBLE,
    p_value DOUBLE,
    q_value DOUBLE
)
