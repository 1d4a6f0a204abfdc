-- Mean level of the active series of each store and of each item, as FEATURES.DEMAND has it when built in one piece.
CREATE OR REPLACE TABLE FEATURES.NEIGHBOUR_MEANS AS
SELECT
    business_date,
    store_id,
    item_id,
    AVG(units_mean_28) AS units_mean_28
FROM FEATURES.DEMAND
WHERE is_active
GROUP BY GROUPING SETS ((business_date, store_id), (business_date, item_id))
