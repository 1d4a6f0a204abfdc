-- Versions of daily sales that became known after one close and up to another.
INSERT INTO {{ table | default("FEATURES.DAILY_SALES") }} (series_id, store_id, item_id, sales_date, units_sold, is_stocked_out, known_at)
WITH
-- orders that were written, or whose lines were written, in between
touched_orders AS (
    SELECT order_id FROM RAW.ORDERS_CHANGES WHERE known_at > :known_after AND known_at <= :known_until
    UNION DISTINCT
    SELECT order_id FROM RAW.ORDER_LINES_CHANGES WHERE known_at > :known_after AND known_at <= :known_until
    {%- if is_history is defined %}
    UNION DISTINCT
    -- a line of the first snapshot has no time of its own: it is known with its order
    SELECT order_id FROM RAW.ORDERS_CHANGES WHERE known_at <= :known_until
    {%- endif %}
),
-- days on which any version of such an order lies, or whose stock was counted
touched_dates AS (
    SELECT o.ordered_at::DATE AS sales_date
    FROM RAW.ORDERS_CHANGES o
    INNER JOIN touched_orders t ON o.order_id = t.order_id
    WHERE o.ordered_at IS NOT NULL AND o.known_at <= :known_until
    UNION DISTINCT
    SELECT stock_date AS sales_date
    FROM RAW.STOCK_LEVELS_CHANGES
    WHERE known_at > :known_after AND known_at <= :known_until AND stock_date IS NOT NULL
),
-- orders that any version puts on such a day, in their newest version known
orders_known AS (
    SELECT o.order_id, o.store_id, o.ordered_at::DATE AS sales_date, o.status, o.op
    FROM RAW.ORDERS_CHANGES o
    WHERE
        o.known_at <= :known_until
        AND o.order_id IN (
            SELECT c.order_id FROM RAW.ORDERS_CHANGES c INNER JOIN touched_dates d ON c.ordered_at::DATE = d.sales_date
        )
    QUALIFY ROW_NUMBER() OVER (
        PARTITION BY o.order_id ORDER BY o.generation DESC, o.position_ordinal DESC
    ) = 1
),
-- their lines in their newest version known
lines_known AS (
    SELECT l.order_id, l.line_number, l.item_id, l.quantity, l.op
    FROM RAW.ORDER_LINES_CHANGES l
    WHERE l.known_at <= :known_until AND l.order_id IN (SELECT order_id FROM orders_known)
    QUALIFY ROW_NUMBER() OVER (
        PARTITION BY l.order_id, l.line_number ORDER BY l.generation DESC, l.position_ordinal DESC
    ) = 1
),
-- a returned order was demand, a cancelled one was not
sold AS (
    SELECT o.store_id, l.item_id, o.sales_date, SUM(l.quantity::DOUBLE) AS units_sold
    FROM orders_known o
    INNER JOIN lines_known l ON o.order_id = l.order_id
    INNER JOIN touched_dates d ON o.sales_date = d.sales_date
    WHERE o.op <> 'd' AND l.op <> 'd' AND o.status <> 'cancelled'
    GROUP BY o.store_id, l.item_id, o.sales_date
),
-- days that ended with an empty shelf
empty AS (
    SELECT s.store_id, s.item_id, s.stock_date AS sales_date, s.op <> 'd' AND s.units_on_hand <= 0 AS is_empty
    FROM RAW.STOCK_LEVELS_CHANGES s
    INNER JOIN touched_dates d ON s.stock_date = d.sales_date
    WHERE s.known_at <= :known_until
    QUALIFY ROW_NUMBER() OVER (
        PARTITION BY s.store_id, s.item_id, s.stock_date ORDER BY s.generation DESC, s.position_ordinal DESC
    ) = 1
),
-- what was known before
before AS (
    SELECT v.store_id, v.item_id, v.sales_date, v.units_sold, v.is_stocked_out
    FROM FEATURES.DAILY_SALES v
    INNER JOIN touched_dates d ON v.sales_date = d.sales_date
    WHERE v.known_at <= :known_after
    QUALIFY ROW_NUMBER() OVER (PARTITION BY v.series_id, v.sales_date ORDER BY v.known_at DESC) = 1
),
{%- if is_history is defined %}
-- history is known at the close of its own date, or of the first date after it that was closed
closes AS (
    SELECT d.sales_date, LEAST(b.closed_at, :known_until::TIMESTAMP) AS closed_at
    FROM touched_dates d
    INNER JOIN OPERATIONS.BUSINESS_DATES b ON d.sales_date <= b.business_date
    QUALIFY ROW_NUMBER() OVER (PARTITION BY d.sales_date ORDER BY b.business_date) = 1
),
{%- endif %}
days AS (
    SELECT store_id, item_id, sales_date FROM sold
    UNION DISTINCT
    SELECT store_id, item_id, sales_date FROM empty WHERE is_empty
    UNION DISTINCT
    SELECT store_id, item_id, sales_date FROM before
),
after AS (
    SELECT
        d.store_id,
        d.item_id,
        d.sales_date,
        COALESCE(s.units_sold, 0) AS units_sold,
        -- whatever was sold before the shelf was empty, more may have been wanted
        COALESCE(e.is_empty, FALSE) AS is_stocked_out
    FROM days d
    LEFT JOIN sold s ON d.store_id = s.store_id AND d.item_id = s.item_id AND d.sales_date = s.sales_date
    LEFT JOIN empty e ON d.store_id = e.store_id AND d.item_id = e.item_id AND d.sales_date = e.sales_date
)
SELECT
    a.item_id || '@' || a.store_id AS series_id,
    a.store_id,
    a.item_id,
    a.sales_date,
    a.units_sold,
    a.is_stocked_out,
    {% if is_history is defined -%}
    COALESCE(c.closed_at, :known_until::TIMESTAMP) AS known_at
    {%- else -%}
    :known_until::TIMESTAMP AS known_at
    {%- endif %}
FROM after a
LEFT JOIN before b ON a.store_id = b.store_id AND a.item_id = b.item_id AND a.sales_date = b.sales_date
{% if is_history is defined -%}
LEFT JOIN closes c ON a.sales_date = c.sales_date
{% endif -%}
WHERE b.units_sold IS NULL OR b.units_sold <> a.units_sold OR b.is_stocked_out <> a.is_stocked_out
