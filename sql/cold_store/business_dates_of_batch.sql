-- Business dates that a batch completed, oldest first.
SELECT business_date, position
FROM OPERATIONS.BUSINESS_DATES
WHERE batch_id = %(batch_id)s
ORDER BY business_date
