-- How each series moved in the year before a cutoff: what its errors are told against, and how intermittent it is.
WITH
sales_known AS (
    SELECT series_id, store_id, sales_date, units_sold, is_stocked_out
    FROM FEATURES.DAILY_SALES
    WHERE known_at <= :known_until AND sales_date BETWEEN DATEADD(DAY, -363, :cutoff::DATE)::DATE AND :cutoff
    QUALIFY ROW_NUMBER() OVER (PARTITION BY series_id, sales_date ORDER BY known_at DESC) = 1
),
closures_known AS (
    SELECT store_id, closed_on, op
    FROM RAW.STORE_CLOSURES_CHANGES
    WHERE known_at <= :known_until
    QUALIFY ROW_NUMBER() OVER (PARTITION BY store_id, closed_on ORDER BY generation DESC, position_ordinal DESC) = 1
),
series AS (
    SELECT series_id, store_id, MIN(sales_date) AS first_date FROM sales_known GROUP BY series_id, store_id
),
days AS (
    SELECT s.series_id, b.business_date AS sales_date, COALESCE(k.units_sold, 0) AS units_sold
    FROM series s
    INNER JOIN OPERATIONS.BUSINESS_DATES b ON b.business_date BETWEEN s.first_date AND :cutoff
    LEFT JOIN sales_known k ON s.series_id = k.series_id AND b.business_date = k.sales_date
    LEFT JOIN closures_known c ON s.store_id = c.store_id AND b.business_date = c.closed_on
    WHERE COALESCE(c.op, 'd') = 'd' AND NOT COALESCE(k.is_stocked_out, FALSE)
),
steps AS (
    SELECT
        series_id,
        units_sold,
        units_sold - LAG(units_sold) OVER (PARTITION BY series_id ORDER BY sales_date) AS step
    FROM days
)
SELECT
    series_id,
    AVG(step * step) AS squared_step,
    COUNT(*)::DOUBLE / NULLIF(COUNT(CASE WHEN units_sold > 0 THEN 1 END), 0) AS demand_interval,
    COALESCE(STDDEV_SAMP(CASE WHEN units_sold > 0 THEN units_sold END), 0)
    / NULLIF(AVG(CASE WHEN units_sold > 0 THEN units_sold END), 0) AS size_variation
FROM steps
GROUP BY series_id
