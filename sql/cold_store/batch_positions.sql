-- First and last log position, and commit at the source, that a batch brought into one history table.
SELECT
    COALESCE(MIN(position), 0) AS first_position,
    COALESCE(MAX(position), 0) AS last_position,
    MIN(committed_at) AS first_committed_at,
    MAX(committed_at) AS last_committed_at
FROM {{ changes }}
WHERE batch_id = :batch_id
