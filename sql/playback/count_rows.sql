-- How many rows the shop has in each of its tables.
SELECT 'stores' AS table_name, COUNT(*) AS row_count FROM sales.stores
UNION ALL
SELECT 'items' AS table_name, COUNT(*) AS row_count FROM sales.items
UNION ALL
SELECT 'orders' AS table_name, COUNT(*) AS row_count FROM sales.orders
UNION ALL
SELECT 'order_lines' AS table_name, COUNT(*) AS row_count FROM sales.order_lines
UNION ALL
SELECT 'prices' AS table_name, COUNT(*) AS row_count FROM sales.prices
UNION ALL
SELECT 'promotions' AS table_name, COUNT(*) AS row_count FROM sales.promotions
UNION ALL
SELECT 'stock_levels' AS table_name, COUNT(*) AS row_count FROM sales.stock_levels
UNION ALL
SELECT 'store_closures' AS table_name, COUNT(*) AS row_count FROM sales.store_closures
UNION ALL
SELECT 'holidays' AS table_name, COUNT(*) AS row_count FROM sales.holidays
UNION ALL
SELECT 'weather_forecasts' AS table_name, COUNT(*) AS row_count FROM sales.weather_forecasts
UNION ALL
SELECT 'weather_observations' AS table_name, COUNT(*) AS row_count FROM sales.weather_observations
UNION ALL
SELECT 'business_days' AS table_name, COUNT(*) AS row_count FROM sales.business_days
