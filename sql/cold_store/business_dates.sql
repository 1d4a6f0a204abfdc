-- Complete business dates up to one, oldest first; `in_snapshot` marks those that came with the first snapshot.
SELECT business_date, closed_at, position = 0 AND generation = MIN(generation) OVER () AS in_snapshot
FROM OPERATIONS.BUSINESS_DATES
WHERE business_date <= :business_date
ORDER BY business_date
