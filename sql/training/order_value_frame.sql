-- One row a completed order known at the cutoff, with what its customer had spent before it.
WITH
orders_known AS (
    SELECT order_id, customer_id, ordered_at, order_amount::DOUBLE AS order_amount, status, op
    FROM RAW.ORDERS_CHANGES
    WHERE known_at <= :known_until
    QUALIFY ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY generation DESC, position_ordinal DESC) = 1
)
SELECT
    order_id,
    customer_id,
    ordered_at,
    order_amount,
    COALESCE(SUM(order_amount) OVER (
        PARTITION BY customer_id ORDER BY ordered_at, order_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ), 0) AS total_spent,
    COUNT(order_amount) OVER (
        PARTITION BY customer_id ORDER BY ordered_at, order_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS purchase_count
FROM orders_known
WHERE op <> 'd' AND status = 'completed' AND ordered_at <= :known_until
ORDER BY ordered_at, order_id
