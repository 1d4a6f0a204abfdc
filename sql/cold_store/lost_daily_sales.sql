-- Closed days of a series that were known by the end of a span of time and that its rebuilt versions would forget; there must
-- be none. What was sold on a day that is still open may yet turn out to be of another.
SELECT DISTINCT v.series_id, v.sales_date
FROM FEATURES.DAILY_SALES v
INNER JOIN OPERATIONS.BUSINESS_DATES d ON v.sales_date = d.business_date AND d.closed_at <= :known_until
LEFT JOIN (
    SELECT series_id, sales_date FROM FEATURES.DAILY_SALES_REBUILT
    UNION DISTINCT
    SELECT series_id, sales_date FROM FEATURES.DAILY_SALES WHERE known_at <= :known_after
) k
    ON v.series_id = k.series_id AND v.sales_date = k.sales_date
WHERE v.known_at > :known_after AND v.known_at <= :known_until AND k.series_id IS NULL
ORDER BY v.sales_date, v.series_id
