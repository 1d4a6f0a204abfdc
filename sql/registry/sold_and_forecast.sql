-- What each store sold on some days, as known at their closes, beside what one release had forecast of them.
SELECT store_id, SUM(actual_at_close) AS sold, SUM(mean) AS forecast
FROM FORECASTS.SCORED_FORECASTS
WHERE release_id = :release_id AND sales_date BETWEEN :first_day AND :last_day
GROUP BY store_id
ORDER BY store_id
