-- Complete business dates in the order of their closes; `in_snapshot` marks those that came with the first snapshot.
SELECT business_date, closed_at, COALESCE(position = 0 AND generation = MIN(generation) OVER (), FALSE) AS in_snapshot
FROM OPERATIONS.BUSINESS_DATES
ORDER BY closed_at, business_date
