-- What each version of an order adds to its customer's total, and what a newer version takes back, from which close on.
-- The total at a close is the sum of the steps up to it: what became known later has later steps and changes no earlier total.
WITH
versions AS (
    SELECT
        order_id,
        customer_id,
        ordered_at::DATE AS ordered_on,
        order_amount::NUMBER(38, 4) AS order_amount,
        op <> 'd' AND status = 'completed' AS is_counted,
        known_at,
        MIN(known_at) OVER (
            PARTITION BY order_id ORDER BY generation, position_ordinal ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
        ) AS superseded_at
    FROM RAW.ORDERS_CHANGES
    WHERE known_at IS NOT NULL
),
-- versions that were the newest known one for a while
counted AS (
    SELECT order_id, customer_id, ordered_on, order_amount, known_at, superseded_at
    FROM versions
    WHERE is_counted AND COALESCE(superseded_at > known_at, TRUE)
),
-- no order counts before the close of its own day, also if it was written before the close of the day before
days AS (
    SELECT o.ordered_on, MIN(b.closed_at) AS closed_at
    FROM (SELECT DISTINCT ordered_on FROM counted) o
    INNER JOIN OPERATIONS.BUSINESS_DATES b ON o.ordered_on <= b.business_date
    GROUP BY o.ordered_on
)
SELECT c.customer_id, GREATEST(c.known_at, d.closed_at) AS counts_from, c.order_amount AS total_spent, 1 AS purchase_count
FROM counted c
INNER JOIN days d ON c.ordered_on = d.ordered_on
UNION ALL
SELECT
    c.customer_id,
    GREATEST(c.superseded_at, d.closed_at) AS counts_from,
    -c.order_amount AS total_spent,
    -1 AS purchase_count
FROM counted c
INNER JOIN days d ON c.ordered_on = d.ordered_on
WHERE c.superseded_at IS NOT NULL
