-- Post-condition of the scores of one business date.
SELECT COUNT(*) AS row_count, COUNT(DISTINCT business_date) AS vintages
FROM FORECASTS.SCORES
WHERE scored_on = :scored_on
