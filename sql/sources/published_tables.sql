-- Tables of a schema whose changes a publication carries.
SELECT tablename FROM pg_publication_tables WHERE pubname = %s AND schemaname = %s
