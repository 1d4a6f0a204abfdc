-- Errors of one vintage over some of its horizons, on days that say something about demand; always one row.
WITH
forecasts AS (
    SELECT series_id, store_id, sales_date, horizon_days, mean, q05, q95, release_id
    FROM FORECASTS.LEDGER
    WHERE
        business_date = :business_date
        AND horizon_days BETWEEN :horizon_from AND :horizon_to
        AND sales_date <= :scored_on
        AND COALESCE(release_cutoff, business_date) <= business_date -- not in hindsight
),
-- what was sold, as known on the day of the scoring
sales_known AS (
    SELECT series_id, sales_date, units_sold, is_stocked_out
    FROM FEATURES.DAILY_SALES
    WHERE
        known_at <= :known_until
        AND sales_date > :business_date AND sales_date <= :scored_on
    QUALIFY ROW_NUMBER() OVER (PARTITION BY series_id, sales_date ORDER BY known_at DESC) = 1
),
closures_known AS (
    SELECT store_id, closed_on, op
    FROM RAW.STORE_CLOSURES_CHANGES
    WHERE known_at <= :known_until
    QUALIFY ROW_NUMBER() OVER (PARTITION BY store_id, closed_on ORDER BY generation DESC, position_ordinal DESC) = 1
),
-- what the simple methods say, from what was known when the forecast was made
simple AS (
    SELECT
        f.series_id,
        f.sales_date,
        CASE MOD(f.horizon_days + 6, 7)
            {%- for back in range(7) %}
            WHEN {{ back }} THEN d.units_lag_{{ 7 - back }}
            {%- endfor %}
        END AS seasonal_naive,
        CASE DAYOFWEEKISO(f.sales_date)
            {%- for day in range(1, 8) %}
            WHEN {{ day }} THEN d.weekday_mean_{{ day }}
            {%- endfor %}
        END AS weekday_mean,
        COALESCE(d.units_mean_28, 0) AS recent_mean
    FROM forecasts f
    INNER JOIN FEATURES.DEMAND d ON d.business_date = :business_date AND f.series_id = d.series_id
),
measured AS (
    SELECT
        f.series_id,
        f.mean,
        f.q05,
        f.q95,
        COALESCE(s.units_sold, 0) AS actual,
        COALESCE(m.seasonal_naive, m.recent_mean, 0) AS seasonal_naive,
        COALESCE(m.weekday_mean, m.recent_mean, 0) AS weekday_mean
    FROM forecasts f
    LEFT JOIN sales_known s ON f.series_id = s.series_id AND f.sales_date = s.sales_date
    LEFT JOIN closures_known c ON f.store_id = c.store_id AND f.sales_date = c.closed_on
    LEFT JOIN simple m ON f.series_id = m.series_id AND f.sales_date = m.sales_date
    WHERE f.mean IS NOT NULL AND COALESCE(c.op, 'd') = 'd' AND NOT COALESCE(s.is_stocked_out, FALSE)
),
totals AS (
    SELECT
        COUNT(*) AS row_count,
        COUNT(DISTINCT series_id) AS series_count,
        NULLIF(SUM(actual), 0) AS actual,
        SUM(mean) AS forecast,
        SUM(ABS(mean - actual)) AS error,
        SUM(ABS(seasonal_naive - actual)) AS seasonal_naive_error,
        SUM(ABS(weekday_mean - actual)) AS weekday_mean_error,
        AVG(CASE WHEN actual BETWEEN q05 AND q95 THEN 1.0 WHEN q05 IS NOT NULL THEN 0.0 END) AS coverage_90
    FROM measured
)
SELECT
    (SELECT COUNT(*) FROM forecasts WHERE mean IS NOT NULL) AS forecast_count,
    (SELECT MAX(release_id) FROM forecasts) AS release_id,
    row_count,
    series_count,
    error / actual AS wape,
    forecast / actual - 1 AS bias,
    coverage_90,
    LEAST(seasonal_naive_error, weekday_mean_error) / actual AS strongest_simple_wape
FROM totals
