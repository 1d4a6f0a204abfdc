-- A vintage in numbers.
SELECT
    COUNT(DISTINCT CASE WHEN reason_code IS NULL THEN series_id END) AS forecasts,
    COUNT(DISTINCT CASE WHEN reason_code IS NOT NULL THEN series_id END) AS reasons,
    COUNT(*) AS row_count
FROM FORECASTS.LEDGER
WHERE business_date = :business_date
