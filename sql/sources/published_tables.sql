-- Tables of a schema whose changes a publication carries, and the columns that it carries of them; NULL for all of them,
-- as on servers that know no lists of columns.
SELECT
    tablename,
    TO_JSONB(published) -> 'attnames' AS columns
FROM pg_publication_tables AS published
WHERE pubname = %s AND schemaname = %s
