-- What the stages that leave rows in the cold store took in and gave out, over everything that is there.
SELECT 'ingestion' AS stage, SUM(rows_read) AS rows_in, SUM(rows_loaded) AS rows_out FROM OPERATIONS.BATCHES
UNION ALL
SELECT 'cold_store' AS stage, (SELECT COUNT(*) FROM FEATURES.DAILY_SALES) AS rows_in, COUNT(*) AS rows_out
FROM FEATURES.DEMAND
UNION ALL
SELECT
    'serving' AS stage,
    COUNT(DISTINCT business_date || series_id) AS rows_in,
    COUNT(*) AS rows_out
FROM FORECASTS.LEDGER
UNION ALL
SELECT 'monitoring' AS stage, COALESCE(SUM(row_count), 0) AS rows_in, COUNT(*) AS rows_out FROM FORECASTS.SCORES
UNION ALL
SELECT 'retraining' AS stage, COUNT(*) AS rows_in, COUNT(CASE WHEN outcome = 'request' THEN 1 END) AS rows_out
FROM OPERATIONS.DECISIONS
WHERE kind = 'governor'
