-- Every forecast whose day is over and says something about demand, beside what was sold: a sale that is restated changes
-- its row here, never the ledger. The countable days and the seasonal naive method are those of score_vintage.sql.
CREATE OR REPLACE VIEW FORECASTS.SCORED_FORECASTS COPY GRANTS AS
WITH
sales_now AS (
    SELECT series_id, sales_date, units_sold, is_stocked_out
    FROM FEATURES.DAILY_SALES
    QUALIFY ROW_NUMBER() OVER (PARTITION BY series_id, sales_date ORDER BY known_at DESC) = 1
),
sales_at_close AS (
    SELECT s.series_id, s.sales_date, s.units_sold
    FROM FEATURES.DAILY_SALES s
    INNER JOIN OPERATIONS.BUSINESS_DATES b ON s.sales_date = b.business_date AND s.known_at <= b.closed_at
    QUALIFY ROW_NUMBER() OVER (PARTITION BY s.series_id, s.sales_date ORDER BY s.known_at DESC) = 1
),
closures_now AS (
    SELECT store_id, closed_on, op
    FROM RAW.STORE_CLOSURES_CHANGES
    QUALIFY ROW_NUMBER() OVER (PARTITION BY store_id, closed_on ORDER BY generation DESC, position_ordinal DESC) = 1
)
SELECT
    l.business_date,
    l.series_id,
    l.store_id,
    l.item_id,
    l.sales_date,
    l.horizon_days,
    l.release_id,
    l.mean,
    l.q05,
    l.q50,
    l.q95,
    COALESCE(n.units_sold, 0) AS actual,
    COALESCE(c.units_sold, 0) AS actual_at_close,
    COALESCE(
        CASE MOD(l.horizon_days + 6, 7)
            {%- for back in range(7) %}
            WHEN {{ back }} THEN d.units_lag_{{ 7 - back }}
            {%- endfor %}
        END,
        d.units_mean_28,
        0
    ) AS seasonal_naive
FROM FORECASTS.LEDGER l
INNER JOIN OPERATIONS.BUSINESS_DATES b ON l.sales_date = b.business_date
LEFT JOIN sales_now n ON l.series_id = n.series_id AND l.sales_date = n.sales_date
LEFT JOIN sales_at_close c ON l.series_id = c.series_id AND l.sales_date = c.sales_date
LEFT JOIN closures_now k ON l.store_id = k.store_id AND l.sales_date = k.closed_on
LEFT JOIN FEATURES.DEMAND d ON l.business_date = d.business_date AND l.series_id = d.series_id
WHERE
    l.mean IS NOT NULL
    AND COALESCE(l.release_cutoff, l.business_date) <= l.business_date -- not in hindsight
    AND COALESCE(k.op, 'd') = 'd'
    AND NOT COALESCE(n.is_stocked_out, FALSE)
