-- Stores as known at a moment, with the group that errors are compared across; it is no feature.
SELECT store_id, store_group
FROM RAW.STORES_CHANGES
WHERE known_at <= :known_until
QUALIFY ROW_NUMBER() OVER (PARTITION BY store_id ORDER BY generation DESC, position_ordinal DESC) = 1
