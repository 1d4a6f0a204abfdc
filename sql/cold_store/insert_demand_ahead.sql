-- Covariates of the days after one business date, as planned or forecast at its close.
{%- set near = 28 -%}
{%- set around = 14 -%}
{%- macro is_near(on) -%}
{{ on }} BETWEEN DATEADD(DAY, {{ 1 - near }}, d.sales_date)::DATE AND DATEADD(DAY, {{ near - 1 }}, d.sales_date)::DATE
{%- endmacro -%}
{%- macro distances(on) -%}
MIN(CASE WHEN {{ on }} <= d.sales_date THEN DATEDIFF(DAY, {{ on }}, d.sales_date) END) AS days_since,
        MIN(CASE WHEN {{ on }} >= d.sales_date THEN DATEDIFF(DAY, d.sales_date, {{ on }}) END) AS days_until
{%- endmacro %}
INSERT INTO FEATURES.DEMAND_AHEAD
WITH
-- a recursion may be cut off after a hundred steps: numbers below 400 take 19
RECURSIVE digits AS (
    SELECT 0 AS digit
    UNION ALL
    SELECT digit + 1 AS digit FROM digits WHERE digit < 19
),
horizons AS (
    SELECT 20 * h.digit + l.digit + 1 AS horizon_days
    FROM digits h
    CROSS JOIN digits l
),
days AS (
    SELECT
        horizon_days,
        DATEADD(DAY, horizon_days, :business_date::DATE)::DATE AS sales_date
    FROM horizons
    WHERE horizon_days <= :horizon_days
),
series AS (
    SELECT series_id, store_id, item_id FROM FEATURES.DEMAND WHERE business_date = :business_date AND is_active
),
regions AS (
    SELECT store_id, region
    FROM RAW.STORES_CHANGES
    WHERE known_at <= :known_until
    QUALIFY ROW_NUMBER() OVER (PARTITION BY store_id ORDER BY generation DESC, position_ordinal DESC) = 1
),
promotions_known AS (
    SELECT promotion_id, store_id, item_id, starts_on, ends_on, discount, op
    FROM RAW.PROMOTIONS_CHANGES
    WHERE known_at <= :known_until AND COALESCE(announced_at, known_at) <= :known_until
    QUALIFY ROW_NUMBER() OVER (PARTITION BY promotion_id ORDER BY generation DESC, position_ordinal DESC) = 1
),
promotion_days AS (
    SELECT
        p.store_id,
        p.item_id,
        d.sales_date,
        MAX(CASE WHEN d.sales_date BETWEEN p.starts_on AND p.ends_on THEN p.discount END) AS discount,
        MAX(CASE WHEN d.sales_date BETWEEN p.starts_on AND p.ends_on THEN DATEDIFF(DAY, p.starts_on, d.sales_date) + 1.0 END)
            AS promotion_day,
        MAX(CASE WHEN d.sales_date BETWEEN p.starts_on AND p.ends_on THEN DATEDIFF(DAY, d.sales_date, p.ends_on) END)
            AS days_left,
        MIN(CASE WHEN p.starts_on <= d.sales_date THEN GREATEST(DATEDIFF(DAY, p.ends_on, d.sales_date), 0) END) AS days_since,
        MIN(CASE WHEN p.ends_on >= d.sales_date THEN GREATEST(DATEDIFF(DAY, d.sales_date, p.starts_on), 0) END) AS days_until
    FROM promotions_known p
    INNER JOIN days d
        ON p.starts_on <= DATEADD(DAY, {{ near - 1 }}, d.sales_date)::DATE
        AND p.ends_on >= DATEADD(DAY, {{ 1 - near }}, d.sales_date)::DATE
    WHERE p.op <> 'd'
    GROUP BY p.store_id, p.item_id, d.sales_date
),
prices_known AS (
    SELECT store_id, item_id, valid_from, price, op
    FROM RAW.PRICES_CHANGES
    WHERE known_at <= :known_until AND COALESCE(announced_at, known_at) <= :known_until
    QUALIFY
        ROW_NUMBER() OVER (
            PARTITION BY store_id, item_id, valid_from ORDER BY generation DESC, position_ordinal DESC
        ) = 1
),
-- of the prices before the days, the last one may hold on them
prices_ahead AS (
    SELECT store_id, item_id, valid_from, price
    FROM prices_known
    WHERE op <> 'd'
    QUALIFY
        ROW_NUMBER() OVER (
            PARTITION BY store_id, item_id, GREATEST(valid_from, :business_date::DATE) ORDER BY valid_from DESC
        ) = 1
),
-- the last announced price that holds on the day
prices AS (
    SELECT p.store_id, p.item_id, d.sales_date, p.price
    FROM prices_ahead p
    INNER JOIN days d ON p.valid_from <= d.sales_date
    QUALIFY ROW_NUMBER() OVER (PARTITION BY p.store_id, p.item_id, d.sales_date ORDER BY p.valid_from DESC) = 1
),
closures_known AS (
    SELECT store_id, closed_on AS sales_date, op
    FROM RAW.STORE_CLOSURES_CHANGES
    WHERE known_at <= :known_until AND COALESCE(announced_at, known_at) <= :known_until
    QUALIFY ROW_NUMBER() OVER (PARTITION BY store_id, closed_on ORDER BY generation DESC, position_ordinal DESC) = 1
),
closures AS (
    SELECT store_id, sales_date
    FROM closures_known
    WHERE op <> 'd'
),
-- people shop before and after a closed day if it is not the one that is closed every week
unusual_closures AS (
    SELECT c.store_id, c.sales_date AS closed_on
    FROM closures c
    LEFT JOIN closures w ON c.store_id = w.store_id AND DATEADD(DAY, -7, c.sales_date)::DATE = w.sales_date
    WHERE w.sales_date IS NULL
),
near_closures AS (
    SELECT u.store_id, d.sales_date, {{ distances('u.closed_on') }}
    FROM unusual_closures u
    INNER JOIN days d ON {{ is_near('u.closed_on') }}
    GROUP BY u.store_id, d.sales_date
),
-- a store that is shut for weeks is sold out before and filled again after
closed_days AS (
    SELECT
        c.store_id,
        d.sales_date,
        SUM(IFF(c.sales_date < d.sales_date, 1, 0)) AS days_before,
        SUM(IFF(c.sales_date > d.sales_date, 1, 0)) AS days_after
    FROM closures c
    INNER JOIN days d
        ON c.sales_date
        BETWEEN DATEADD(DAY, -{{ around }}, d.sales_date)::DATE AND DATEADD(DAY, {{ around }}, d.sales_date)::DATE
    GROUP BY c.store_id, d.sales_date
),
holidays_known AS (
    SELECT region, holiday_on AS sales_date, kind, op
    FROM RAW.HOLIDAYS_CHANGES
    WHERE known_at <= :known_until
    QUALIFY ROW_NUMBER() OVER (PARTITION BY region, holiday_on, kind ORDER BY generation DESC, position_ordinal DESC) = 1
),
holidays AS (
    SELECT
        region,
        sales_date,
        MAX(CASE WHEN kind = 'public' THEN 1.0 ELSE 0.0 END) AS is_public,
        MAX(CASE WHEN kind = 'school' THEN 1.0 ELSE 0.0 END) AS is_school
    FROM holidays_known
    WHERE op <> 'd'
    GROUP BY region, sales_date
),
near_holidays AS (
    SELECT h.region, d.sales_date, {{ distances('h.sales_date') }}
    FROM holidays h
    INNER JOIN days d ON {{ is_near('h.sales_date') }}
    WHERE h.is_public > 0
    GROUP BY h.region, d.sales_date
),
-- the latest forecast that was issued by now
weather AS (
    SELECT w.region, w.target_date AS sales_date, w.temperature_celsius, w.precipitation_mm
    FROM RAW.WEATHER_FORECASTS_CHANGES w
    INNER JOIN days d ON w.target_date = d.sales_date
    WHERE w.known_at <= :known_until AND w.issued_at <= :known_until AND w.op <> 'd'
    QUALIFY
        ROW_NUMBER() OVER (
            PARTITION BY w.region, w.target_date ORDER BY w.issued_at DESC, w.generation DESC, w.position_ordinal DESC
        ) = 1
)
SELECT
    :business_date::DATE AS business_date,
    s.series_id,
    d.horizon_days,
    d.sales_date,
    IFF(p.promotion_day IS NULL, 0.0, 1.0) AS on_promotion,
    COALESCE(p.discount, 0.0) AS discount,
    COALESCE(p.promotion_day, 0.0) AS promotion_day,
    COALESCE(p.days_left, 0)::DOUBLE AS promotion_days_left,
    COALESCE(p.days_since, {{ near }})::DOUBLE AS days_since_promotion,
    COALESCE(p.days_until, {{ near }})::DOUBLE AS days_until_promotion,
    r.price::DOUBLE AS price,
    IFF(c.sales_date IS NULL, 1.0, 0.0) AS is_open,
    IFF(b.sales_date IS NULL, 1.0, 0.0) AS is_open_day_before,
    IFF(n.sales_date IS NULL, 1.0, 0.0) AS is_open_day_after,
    COALESCE(q.days_since, {{ near }})::DOUBLE AS days_since_closure,
    COALESCE(q.days_until, {{ near }})::DOUBLE AS days_until_closure,
    COALESCE(z.days_before, 0)::DOUBLE AS closed_days_before_14,
    COALESCE(z.days_after, 0)::DOUBLE AS closed_days_after_14,
    COALESCE(h.is_public, 0.0) AS is_public_holiday,
    COALESCE(y.days_since, {{ near }})::DOUBLE AS days_since_holiday,
    COALESCE(y.days_until, {{ near }})::DOUBLE AS days_until_holiday,
    COALESCE(h.is_school, 0.0) AS is_school_holiday,
    w.temperature_celsius,
    w.precipitation_mm
FROM series s
CROSS JOIN days d
LEFT JOIN regions g ON s.store_id = g.store_id
LEFT JOIN promotion_days p ON s.store_id = p.store_id AND s.item_id = p.item_id AND d.sales_date = p.sales_date
LEFT JOIN prices r ON s.store_id = r.store_id AND s.item_id = r.item_id AND d.sales_date = r.sales_date
LEFT JOIN closures c ON s.store_id = c.store_id AND d.sales_date = c.sales_date
LEFT JOIN closures b ON s.store_id = b.store_id AND DATEADD(DAY, -1, d.sales_date)::DATE = b.sales_date
LEFT JOIN closures n ON s.store_id = n.store_id AND DATEADD(DAY, 1, d.sales_date)::DATE = n.sales_date
LEFT JOIN near_closures q ON s.store_id = q.store_id AND d.sales_date = q.sales_date
LEFT JOIN closed_days z ON s.store_id = z.store_id AND d.sales_date = z.sales_date
LEFT JOIN near_holidays y ON g.region = y.region AND d.sales_date = y.sales_date
LEFT JOIN holidays h ON g.region = h.region AND d.sales_date = h.sales_date
LEFT JOIN weather w ON g.region = w.region AND d.sales_date = w.sales_date
