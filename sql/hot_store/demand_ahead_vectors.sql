-- Covariates of the days to come of every active series, one row a day.
SELECT * FROM FEATURES.DEMAND_AHEAD
WHERE business_date = :business_date AND horizon_days <= :horizon_days
ORDER BY series_id, horizon_days
