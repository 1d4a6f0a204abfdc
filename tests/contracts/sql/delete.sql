-- Deletes some rows.
DELETE FROM {{ table }} WHERE number >= :number
