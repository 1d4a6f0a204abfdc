-- One row a completed order known at the cutoff, with its customer's total at the close of the business date before it:
-- what serving would have read on the order's day.
WITH
steps AS (
    {% include "cold_store/order_total_steps.sql" %}
),
orders_known AS (
    SELECT order_id, customer_id, store_id, ordered_at, order_amount::DOUBLE AS order_amount, status, op
    FROM RAW.ORDERS_CHANGES
    WHERE known_at <= :known_until
    QUALIFY ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY generation DESC, position_ordinal DESC) = 1
),
orders AS (
    SELECT order_id, customer_id, store_id, ordered_at, order_amount
    FROM orders_known
    WHERE op <> 'd' AND status = 'completed' AND ordered_at::DATE <= :cutoff
),
-- what serving reads on a day: the newest date of those that were closed before the day itself was
closes_before AS (
    SELECT o.ordered_on, b.closed_at
    FROM (
        SELECT d.ordered_on, MIN(a.closed_at) AS closed_at
        FROM (SELECT DISTINCT ordered_at::DATE AS ordered_on FROM orders) d
        INNER JOIN OPERATIONS.BUSINESS_DATES a ON d.ordered_on <= a.business_date
        GROUP BY d.ordered_on
    ) o
    INNER JOIN OPERATIONS.BUSINESS_DATES b ON o.ordered_on > b.business_date AND b.closed_at < o.closed_at
    QUALIFY ROW_NUMBER() OVER (PARTITION BY o.ordered_on ORDER BY b.business_date DESC) = 1
),
-- each customer's steps and orders in one line of time: an order sees the steps up to the close before its day
moments AS (
    SELECT
        customer_id,
        counts_from AS moment,
        total_spent,
        purchase_count,
        NULL::BIGINT AS order_id,
        NULL::TIMESTAMP AS ordered_at,
        NULL::DOUBLE AS order_amount
    FROM steps
    UNION ALL
    SELECT
        o.customer_id,
        COALESCE(c.closed_at, '1900-01-01'::TIMESTAMP) AS moment,
        0 AS total_spent,
        0 AS purchase_count,
        o.order_id,
        o.ordered_at,
        o.order_amount
    FROM orders o
    LEFT JOIN closes_before c ON o.ordered_at::DATE = c.ordered_on
),
totals AS (
    SELECT
        order_id,
        customer_id,
        ordered_at,
        order_amount,
        SUM(total_spent::NUMBER(38, 4)) OVER (
            PARTITION BY customer_id ORDER BY moment, IFF(order_id IS NULL, 0, 1)
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        )::DOUBLE AS total_spent,
        SUM(purchase_count) OVER (
            PARTITION BY customer_id ORDER BY moment, IFF(order_id IS NULL, 0, 1)
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        )::DOUBLE AS purchase_count
    FROM moments
),
stores_known AS (
    {% include "training/stores_known.sql" %}
)
SELECT
    t.order_id,
    t.customer_id,
    t.ordered_at,
    t.order_amount,
    t.total_spent,
    t.purchase_count,
    COALESCE(s.store_group, 'unknown') AS store_group
FROM totals t
INNER JOIN orders o ON t.order_id = o.order_id
LEFT JOIN stores_known s ON o.store_id = s.store_id
ORDER BY t.ordered_at, t.order_id
