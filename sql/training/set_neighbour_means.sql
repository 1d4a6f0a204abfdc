-- Puts the means over all series in place of those of the chunk that a row was computed in.
UPDATE FEATURES.DEMAND t
SET
    store_units_mean_28 = m.store_units_mean_28,
    item_units_mean_28 = m.item_units_mean_28
FROM (
    SELECT
        f.business_date,
        f.series_id,
        s.units_mean_28 AS store_units_mean_28,
        i.units_mean_28 AS item_units_mean_28
    FROM FEATURES.DEMAND f
    LEFT JOIN FEATURES.NEIGHBOUR_MEANS s
        ON f.business_date = s.business_date AND f.store_id = s.store_id AND s.item_id IS NULL
    LEFT JOIN FEATURES.NEIGHBOUR_MEANS i
        ON f.business_date = i.business_date AND f.item_id = i.item_id AND i.store_id IS NULL
) m
WHERE t.business_date = m.business_date AND t.series_id = m.series_id
