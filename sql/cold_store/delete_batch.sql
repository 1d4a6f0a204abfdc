-- Forgets what an earlier try of this batch wrote into a table of its own rows.
DELETE FROM {{ table }} WHERE batch_id = :batch_id
