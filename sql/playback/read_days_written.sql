SELECT
    business_date,
    transactions_written,
    is_complete
FROM sales_simulation.days_written
ORDER BY business_date DESC
LIMIT 1
