-- What every customer has spent at the close of a business date.
SELECT customer_id::VARCHAR AS customer_id, total_spent, purchase_count
FROM FEATURES.ORDER_TOTAL
WHERE business_date = :business_date
ORDER BY customer_id
