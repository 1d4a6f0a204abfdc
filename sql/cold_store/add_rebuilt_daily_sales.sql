-- Puts the rebuilt versions in the place of those that were forgotten.
INSERT INTO FEATURES.DAILY_SALES (series_id, store_id, item_id, sales_date, units_sold, is_stocked_out, known_at)
SELECT series_id, store_id, item_id, sales_date, units_sold, is_stocked_out, known_at
FROM FEATURES.DAILY_SALES_REBUILT
