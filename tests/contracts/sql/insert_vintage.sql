-- A vintage of every series of a date, as its mean of four weeks.
INSERT INTO FORECASTS.LEDGER (business_date, series_id, store_id, item_id, sales_date, horizon_days, mean, q05, q95)
SELECT business_date, series_id, store_id, item_id, DATEADD(day, 1, business_date)::DATE, 1, units_mean_28, 0, 9
FROM FEATURES.DEMAND
WHERE business_date = :business_date
