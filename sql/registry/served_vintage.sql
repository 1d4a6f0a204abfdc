-- What was said at the close of one business date, by series and day ahead.
SELECT business_date, series_id, horizon_days, release_id, mean, q05, q95
FROM FORECASTS.LEDGER
WHERE business_date = :business_date AND reason_code IS NULL
