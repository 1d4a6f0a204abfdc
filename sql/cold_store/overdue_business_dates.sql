-- Business dates that were announced and have no features of their own: no run of theirs has succeeded. Of those that
-- came with a snapshot only the newest was announced. Each run fills its own partition of ORDER_TOTAL and no other.
SELECT d.business_date
FROM OPERATIONS.BUSINESS_DATES d
LEFT JOIN (SELECT DISTINCT business_date FROM FEATURES.ORDER_TOTAL) f ON f.business_date = d.business_date
WHERE f.business_date IS NULL
AND (d.position <> 0 OR d.business_date = (SELECT MAX(business_date) FROM OPERATIONS.BUSINESS_DATES WHERE position = 0))
ORDER BY d.business_date
