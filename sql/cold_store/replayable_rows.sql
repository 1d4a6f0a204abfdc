-- Quarantined rows that may be replayed: of batches that are loaded, and of the newest generation, whose snapshot
-- says what has become of the rows before it. A business day is not: the days after it are closed already.
SELECT q.batch_id, q.table_name, q.row_key, q.op, q.position, q.position_ordinal, q.generation, q.committed_at, q.row_json
FROM QUARANTINE.BAD_ROWS q
INNER JOIN OPERATIONS.BATCHES b ON q.batch_id = b.batch_id
WHERE q.generation = (SELECT MAX(generation) FROM OPERATIONS.BATCHES) AND q.table_name <> 'business_days' AND q.row_json IS NOT NULL
ORDER BY q.table_name, q.position_ordinal, q.row_key
