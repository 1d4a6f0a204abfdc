-- Features of every series at the close of each business date of a range, each from what was known at its own.
{%- macro trailing(days) -%}
(PARTITION BY series_id, seen_on ORDER BY sales_date ROWS BETWEEN {{ days - 1 }} PRECEDING AND CURRENT ROW)
{%- endmacro %}
{%- macro level(days, but="FALSE") -%}
SUM(IFF({{ but }} OR usual_units IS NULL, NULL, countable_units)) OVER {{ trailing(days) }}
        / NULLIF(SUM(IFF({{ but }} OR countable_units IS NULL, NULL, usual_units)) OVER {{ trailing(days) }}, 0)
{%- endmacro %}
{%- macro is_seen(fact, past) -%}
{{ fact }}.op <> 'd' AND {{ fact }}.seen_from <= {{ past }}.seen_on AND COALESCE({{ fact }}.seen_until > {{ past }}.seen_on, TRUE)
{%- endmacro %}
INSERT INTO FEATURES.DEMAND
WITH
calendar AS (
    SELECT business_date AS sales_date, DAYOFWEEKISO(business_date) AS weekday
    FROM OPERATIONS.BUSINESS_DATES
    WHERE
        business_date BETWEEN :oldest_date AND :until_date
        -- a day that was closed after a later one counts as far as it was known; one of which nothing was known does not
        AND (
            closed_at <= :known_until
            OR business_date IN (SELECT sales_date FROM FEATURES.DAILY_SALES WHERE known_at <= :known_until)
        )
),
-- daily sales in their newest version known
sales_known AS (
    SELECT series_id, store_id, item_id, sales_date, units_sold, is_stocked_out
    FROM FEATURES.DAILY_SALES
    WHERE known_at <= :known_until AND sales_date <= :until_date
    QUALIFY ROW_NUMBER() OVER (PARTITION BY series_id, sales_date ORDER BY known_at DESC) = 1
),
-- a series lives from its first day
series AS (
    SELECT
        series_id,
        store_id,
        item_id,
        MIN(sales_date) AS first_date,
        MIN(CASE WHEN units_sold > 0 THEN sales_date END) AS first_sale_date
    FROM sales_known
    GROUP BY series_id, store_id, item_id
),
items_known AS (
    SELECT item_id, discontinued_on, op
    FROM RAW.ITEMS_CHANGES
    WHERE known_at <= :known_until
    QUALIFY ROW_NUMBER() OVER (PARTITION BY item_id ORDER BY generation DESC, position_ordinal DESC) = 1
),
stores_known AS (
    SELECT store_id, closed_on, op
    FROM RAW.STORES_CHANGES
    WHERE known_at <= :known_until
    QUALIFY ROW_NUMBER() OVER (PARTITION BY store_id ORDER BY generation DESC, position_ordinal DESC) = 1
),
facts AS (
    {% include "cold_store/facts_seen.sql" %}
),
news AS (
    SELECT store_id, item_id, seen_from AS seen_on FROM facts WHERE seen_from > :from_date
    UNION DISTINCT
    SELECT store_id, item_id, seen_until AS seen_on FROM facts WHERE seen_until IS NOT NULL
),
-- a series has one past, and another one from each date on that first saw it told anew; a closure is all the store's
dates_seen AS (
    SELECT series_id, :from_date::DATE AS seen_on FROM series
    UNION DISTINCT
    SELECT s.series_id, n.seen_on
    FROM series s
    INNER JOIN news n ON s.store_id = n.store_id AND s.item_id = COALESCE(n.item_id, s.item_id)
),
pasts AS (
    SELECT
        s.*,
        d.seen_on,
        LEAD(d.seen_on) OVER (PARTITION BY d.series_id ORDER BY d.seen_on) AS next_seen_on
    FROM series s
    INNER JOIN dates_seen d ON s.series_id = d.series_id
),
promotion_days AS (
    SELECT DISTINCT s.series_id, s.seen_on, c.sales_date
    FROM facts f
    INNER JOIN pasts s ON f.store_id = s.store_id AND f.item_id = s.item_id AND {{ is_seen("f", "s") }}
    INNER JOIN calendar c ON c.sales_date BETWEEN f.starts_on AND f.ends_on
    WHERE f.kind = 'promotion'
),
-- a price that was set before the span or before the series counts from its first day
price_steps AS (
    SELECT s.series_id, s.seen_on, GREATEST(f.starts_on, s.first_date, :oldest_date::DATE) AS sales_date, f.price
    FROM facts f
    INNER JOIN pasts s ON f.store_id = s.store_id AND f.item_id = s.item_id AND {{ is_seen("f", "s") }}
    WHERE f.kind = 'price'
    QUALIFY
        ROW_NUMBER() OVER (
            PARTITION BY s.series_id, s.seen_on, GREATEST(f.starts_on, s.first_date, :oldest_date::DATE)
            ORDER BY f.starts_on DESC
        ) = 1
),
closed_days AS (
    SELECT s.series_id, s.seen_on, f.starts_on AS sales_date
    FROM facts f
    INNER JOIN pasts s ON f.store_id = s.store_id AND {{ is_seen("f", "s") }}
    WHERE f.kind = 'closure'
),
-- one row a series and business date, without gaps; a closed day and one that sold out say too little to be counted
panel AS (
    SELECT
        s.series_id,
        s.store_id,
        s.item_id,
        s.seen_on,
        IFF(s.first_sale_date <= c.sales_date, s.first_sale_date, NULL) AS first_sale_date,
        c.sales_date,
        c.weekday,
        x.sales_date IS NULL AS is_open,
        COALESCE(k.is_stocked_out, FALSE) AS is_stocked_out,
        p.sales_date IS NOT NULL AS on_promotion,
        COALESCE(k.units_sold, 0) AS units_sold,
        CASE
            WHEN x.sales_date IS NULL AND NOT COALESCE(k.is_stocked_out, FALSE) THEN COALESCE(k.units_sold, 0)
        END AS countable_units,
        LAST_VALUE(r.price) IGNORE NULLS OVER (
            PARTITION BY s.series_id, s.seen_on ORDER BY c.sales_date ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS price
    FROM pasts s
    INNER JOIN calendar c ON c.sales_date >= s.first_date AND COALESCE(c.sales_date < s.next_seen_on, TRUE)
    LEFT JOIN sales_known k ON s.series_id = k.series_id AND c.sales_date = k.sales_date
    {%- for days, alias in (("closed_days", "x"), ("promotion_days", "p"), ("price_steps", "r")) %}
    LEFT JOIN {{ days }} {{ alias }}
        ON s.series_id = {{ alias }}.series_id AND s.seen_on = {{ alias }}.seen_on AND c.sales_date = {{ alias }}.sales_date
    {%- endfor %}
),
-- what the same kind of day usually sold before: a year of its weekday, with or without promotion
expected AS (
    SELECT
        *,
        AVG(countable_units) OVER (
            PARTITION BY series_id, seen_on, weekday, on_promotion ORDER BY sales_date
            RANGE BETWEEN INTERVAL '364 days' PRECEDING AND INTERVAL '1 day' PRECEDING
        ) AS usual_units
    FROM panel
),
-- on a day that sold out customers wanted what was sold or more: it counts as such a day usually does, if that is more
unconstrained AS (
    SELECT
        *,
        CASE
            WHEN NOT is_stocked_out THEN countable_units
            WHEN is_open AND usual_units IS NOT NULL THEN GREATEST(units_sold, usual_units)
        END AS units
    FROM expected
),
features AS (
    SELECT
        sales_date AS business_date,
        seen_on,
        series_id,
        store_id,
        item_id,
        MAX(CASE WHEN units_sold > 0 THEN sales_date END) OVER (
            PARTITION BY series_id, seen_on ORDER BY sales_date ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS last_sale_date,
        first_sale_date,
        AVG(units) OVER {{ trailing(7) }} AS units_mean_7,
        AVG(units) OVER {{ trailing(14) }} AS units_mean_14,
        AVG(units) OVER {{ trailing(28) }} AS units_mean_28,
        AVG(units) OVER {{ trailing(56) }} AS units_mean_56,
        AVG(units) OVER {{ trailing(182) }} AS units_mean_182,
        AVG(units) OVER {{ trailing(364) }} AS units_mean_364,
        STDDEV_SAMP(countable_units) OVER {{ trailing(28) }} AS units_std_28,
        AVG(CASE WHEN countable_units = 0 THEN 1.0 WHEN countable_units > 0 THEN 0.0 END) OVER {{ trailing(28) }}
            AS zero_share_28,
        units AS units_lag_1,
        {%- for day in range(2, 8) %}
        LAG(units, {{ day - 1 }}) OVER (PARTITION BY series_id, seen_on ORDER BY sales_date) AS units_lag_{{ day }},
        {%- endfor %}
        {%- for day in range(1, 8) %}
        AVG(CASE WHEN weekday = {{ day }} THEN units END) OVER {{ trailing(56) }} AS weekday_mean_{{ day }},
        AVG(CASE WHEN weekday = {{ day }} AND NOT on_promotion THEN units END) OVER {{ trailing(364) }}
            AS weekday_regular_mean_{{ day }},
        AVG(CASE WHEN weekday = {{ day }} AND on_promotion THEN units END) OVER {{ trailing(364) }}
            AS weekday_promotion_mean_{{ day }},
        {%- endfor %}
        {%- for days in (7, 14, 28, 56) %}
        {{ level(days) }} AS level_{{ days }},
        {%- endfor %}
        -- a promotion deeper than those before it says nothing of what the days between promotions sell
        {%- for days in (14, 56) %}
        {{ level(days, but="on_promotion") }} AS regular_level_{{ days }},
        {%- endfor %}
        AVG(CASE WHEN on_promotion THEN units END) OVER {{ trailing(364) }}
        / NULLIF(AVG(CASE WHEN NOT on_promotion THEN units END) OVER {{ trailing(364) }}, 0) AS promotion_uplift_364,
        AVG(price) OVER {{ trailing(56) }} AS price_mean_56,
        price AS price_latest,
        AVG(CASE WHEN is_stocked_out THEN 1.0 ELSE 0.0 END) OVER {{ trailing(28) }} AS stockout_share_28,
        AVG(units) OVER (
            PARTITION BY series_id, seen_on ORDER BY sales_date ROWS BETWEEN 363 PRECEDING AND 336 PRECEDING
        ) AS units_next_28_last_year
    FROM unconstrained
),
judged AS (
    SELECT
        f.*,
        COALESCE(i.op <> 'd', TRUE)
        AND COALESCE(t.op <> 'd', TRUE)
        AND COALESCE(i.discontinued_on > f.business_date, TRUE)
        AND COALESCE(t.closed_on > f.business_date, TRUE)
        AND (
            f.last_sale_date > DATEADD(DAY, -56, f.business_date)::DATE
            OR f.first_sale_date > DATEADD(DAY, -28, f.business_date)::DATE
        ) AS is_active
    FROM features f
    LEFT JOIN items_known i ON f.item_id = i.item_id
    LEFT JOIN stores_known t ON f.store_id = t.store_id
    WHERE
        f.business_date BETWEEN f.seen_on AND :until_date
        AND f.business_date IN (SELECT business_date FROM OPERATIONS.BUSINESS_DATES WHERE closed_at <= :known_until)
        {%- if has_steps is defined %}
        AND MOD(DATEDIFF(DAY, f.business_date, :until_date::DATE), :step_days) = 0
        {%- endif %}
)
SELECT
    business_date,
    series_id,
    store_id,
    item_id,
    COALESCE(is_active, FALSE) AS is_active,
    units_mean_7,
    units_mean_14,
    units_mean_28,
    units_mean_56,
    units_mean_182,
    units_mean_364,
    units_std_28,
    zero_share_28,
    {%- for day in range(1, 8) %}
    units_lag_{{ day }},
    {%- endfor %}
    {%- for day in range(1, 8) %}
    weekday_mean_{{ day }},
    weekday_regular_mean_{{ day }},
    weekday_promotion_mean_{{ day }},
    {%- endfor %}
    level_7,
    level_14,
    level_28,
    level_56,
    regular_level_14,
    regular_level_56,
    promotion_uplift_364,
    DATEDIFF(DAY, first_sale_date, business_date)::DOUBLE AS days_since_first_sale,
    DATEDIFF(DAY, last_sale_date, business_date)::DOUBLE AS days_since_last_sale,
    price_mean_56,
    price_latest,
    stockout_share_28,
    units_next_28_last_year,
    -- in order, or the same rows would add up to other last digits each time
    {%- for column in ("store", "item") %}
    AVG(CASE WHEN is_active THEN units_mean_28 END) OVER (
        PARTITION BY business_date, {{ column }}_id ORDER BY series_id
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS {{ column }}_units_mean_28{{ "," if not loop.last }}
    {%- endfor %}
FROM judged
