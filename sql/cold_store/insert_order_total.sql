-- What each customer has spent in completed orders, as known at the close of a business date.
INSERT INTO FEATURES.ORDER_TOTAL
WITH
orders_known AS (
    SELECT order_id, customer_id, ordered_at, order_amount, status, op
    FROM RAW.ORDERS_CHANGES
    WHERE known_at <= :known_until
    QUALIFY ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY generation DESC, position_ordinal DESC) = 1
)
SELECT
    :business_date::DATE AS business_date,
    customer_id,
    SUM(order_amount::DOUBLE) AS total_spent,
    COUNT(*)::DOUBLE AS purchase_count
FROM orders_known
-- an order of the next day may be written before this one is closed
WHERE op <> 'd' AND status = 'completed' AND ordered_at::DATE <= :business_date
GROUP BY customer_id
