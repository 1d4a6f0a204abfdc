-- Post-condition of a drift check: one row a tested quantity.
SELECT COUNT(*) AS row_count, COUNT(DISTINCT feature) AS features
FROM OPERATIONS.DRIFT_CHECKS
WHERE business_date = :business_date
