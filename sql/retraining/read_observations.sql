-- What monitoring found out about each business date up to one: the inputs, and the error of the forecasts made a day before.
WITH
inputs AS (
    SELECT
        business_date,
        COUNT(CASE WHEN state IN ('drifted', 'steady', 'constant') THEN 1 END) AS features_judged,
        LISTAGG(CASE WHEN state = 'drifted' THEN feature END, ',') WITHIN GROUP (ORDER BY feature) AS drifted
    FROM OPERATIONS.DRIFT_CHECKS
    WHERE business_date BETWEEN :oldest_date AND :business_date
    GROUP BY business_date
),
errors AS (
    SELECT scored_on AS business_date, state, release_id, wape, bias, row_count, expected_wape, expected_bias
    FROM FORECASTS.SCORES
    WHERE scored_on BETWEEN :oldest_date AND :business_date AND horizon_to = 1
)
SELECT
    COALESCE(i.business_date, e.business_date) AS business_date,
    COALESCE(i.features_judged, 0) AS features_judged,
    i.business_date IS NOT NULL AS is_checked,
    COALESCE(i.drifted, '') AS drifted,
    COALESCE(e.state, 'not_scored') AS score_state,
    e.release_id,
    e.wape,
    e.bias,
    COALESCE(e.row_count, 0) AS row_count,
    e.expected_wape,
    e.expected_bias
FROM inputs i
FULL OUTER JOIN errors e ON i.business_date = e.business_date
ORDER BY business_date
