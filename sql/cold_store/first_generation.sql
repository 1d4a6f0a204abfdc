-- The first generation that was loaded, or the one that is being loaded.
SELECT COALESCE(MIN(generation), :generation) AS generation
FROM OPERATIONS.BATCHES
