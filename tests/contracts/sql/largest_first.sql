-- Rows from a number on, the largest first; the comment is sent with the statement.
WITH
wanted AS (
    SELECT * FROM {{ table }} WHERE {{ entity }} >= :oldest
)
SELECT * FROM wanted ORDER BY {{ entity }} DESC
