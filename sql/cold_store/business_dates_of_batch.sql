-- Business dates that a batch completed, oldest first.
SELECT business_date, position
FROM OPERATIONS.BUSINESS_DATES
WHERE batch_id = :batch_id
ORDER BY business_date
