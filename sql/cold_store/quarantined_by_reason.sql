-- Rows of a batch in quarantine by table and reason, most first.
SELECT table_name, reason, COUNT(*) AS row_count
FROM QUARANTINE.BAD_ROWS
WHERE batch_id = :batch_id
GROUP BY table_name, reason
ORDER BY row_count DESC, table_name ASC, reason ASC
