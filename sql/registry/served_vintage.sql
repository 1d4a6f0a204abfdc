-- What was said at the close of one business date, by series and day ahead, and not in hindsight.
SELECT business_date, series_id, horizon_days, release_id, mean, q05, q95
FROM FORECASTS.LEDGER
WHERE
    business_date = :business_date
    AND COALESCE(release_cutoff, business_date) <= business_date
    AND reason_code IS NULL
