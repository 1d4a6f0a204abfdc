-- A vintage in numbers; a series counts as forecast if every number of it is one.
SELECT
    COUNT(DISTINCT CASE WHEN reason_code IS NULL THEN series_id END)
    - COUNT(
        DISTINCT CASE
            WHEN reason_code IS NULL AND NOT COALESCE(ABS(mean + q05 + q25 + q50 + q75 + q95) <= 1e300, FALSE) THEN series_id
        END
    ) AS forecasts,
    COUNT(DISTINCT CASE WHEN reason_code IS NOT NULL THEN series_id END) AS reasons,
    COUNT(*) AS row_count
FROM FORECASTS.LEDGER
WHERE business_date = :business_date
