-- The gate's newest decision about each model.
SELECT model, outcome, reason
FROM OPERATIONS.DECISIONS
WHERE kind = 'gate'
QUALIFY ROW_NUMBER() OVER (PARTITION BY model ORDER BY decided_at DESC) = 1
ORDER BY model
