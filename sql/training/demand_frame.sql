-- One row an origin, active series and day ahead, with what was known at the origin and what was sold by the cutoff.
WITH
sales_known AS (
    SELECT series_id, sales_date, units_sold, is_stocked_out
    FROM FEATURES.DAILY_SALES
    WHERE known_at <= :known_until AND sales_date <= :cutoff
    QUALIFY ROW_NUMBER() OVER (PARTITION BY series_id, sales_date ORDER BY known_at DESC) = 1
),
closures_known AS (
    SELECT store_id, closed_on, op
    FROM RAW.STORE_CLOSURES_CHANGES
    WHERE known_at <= :known_until
    QUALIFY ROW_NUMBER() OVER (PARTITION BY store_id, closed_on ORDER BY generation DESC, position_ordinal DESC) = 1
),
stores_known AS (
    {% include "training/stores_known.sql" %}
)
{%- if is_sampled is defined %},
features_sampled AS (
    SELECT *
    FROM FEATURES.DEMAND
    WHERE
        {% include "training/in_sample.jinja" %}
)
{%- endif %}
SELECT
    f.*,
    a.* EXCLUDE (business_date, series_id),
    COALESCE(t.store_group, 'unknown') AS store_group,
    COALESCE(s.units_sold, 0) AS units_sold,
    -- a day that was not closed by the cutoff may have sold what is not written yet
    COALESCE(c.op, 'd') = 'd' AND NOT COALESCE(s.is_stocked_out, FALSE) AND b.business_date IS NOT NULL AS is_countable
FROM {{ "features_sampled" if is_sampled is defined else "FEATURES.DEMAND" }} f
INNER JOIN FEATURES.DEMAND_AHEAD a ON f.business_date = a.business_date AND f.series_id = a.series_id
LEFT JOIN sales_known s ON a.series_id = s.series_id AND a.sales_date = s.sales_date
LEFT JOIN closures_known c ON f.store_id = c.store_id AND a.sales_date = c.closed_on
LEFT JOIN stores_known t ON f.store_id = t.store_id
LEFT JOIN OPERATIONS.BUSINESS_DATES b ON a.sales_date = b.business_date AND b.closed_at <= :known_until
WHERE
    f.business_date BETWEEN :first_origin AND :cutoff
    AND MOD(DATEDIFF(DAY, f.business_date, :cutoff::DATE), :origin_step_days) = 0
    AND f.is_active
    AND a.horizon_days <= :horizon_days
    AND a.sales_date <= :cutoff
ORDER BY f.business_date, f.series_id, a.horizon_days
