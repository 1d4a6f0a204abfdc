-- What each customer has spent in completed orders, as known at the close of a business date.
INSERT INTO FEATURES.ORDER_TOTAL
WITH
steps AS (
    {% include "cold_store/order_total_steps.sql" %}
)
SELECT
    :business_date::DATE AS business_date,
    customer_id,
    SUM(total_spent::NUMBER(38, 4))::DOUBLE AS total_spent,
    SUM(purchase_count)::DOUBLE AS purchase_count
FROM steps
WHERE counts_from <= :known_until
GROUP BY customer_id
HAVING SUM(purchase_count) > 0
