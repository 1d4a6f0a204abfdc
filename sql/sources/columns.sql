-- The columns of each table of a schema.
SELECT
    table_name,
    column_name
FROM information_schema.columns
WHERE table_schema = %s
ORDER BY table_name, ordinal_position
