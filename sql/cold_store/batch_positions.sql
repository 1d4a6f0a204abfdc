-- First and last log position that a batch brought into one history table.
SELECT
    COALESCE(MIN(position), 0) AS first_position,
    COALESCE(MAX(position), 0) AS last_position
FROM {{ changes }}
WHERE batch_id = :batch_id
