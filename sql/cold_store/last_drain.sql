-- Where the next batch begins; no row before the first one.
SELECT generation, last_drain AS drain
FROM OPERATIONS.BATCHES
QUALIFY ROW_NUMBER() OVER (ORDER BY generation DESC, last_drain DESC) = 1
