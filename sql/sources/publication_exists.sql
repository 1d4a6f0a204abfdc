-- One row if a publication of that name exists.
SELECT 1 AS found FROM pg_publication WHERE pubname = %s
