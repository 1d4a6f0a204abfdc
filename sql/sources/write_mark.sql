-- A message in the log, ordered with the commits; what comes before it was committed before now.
SELECT pg_logical_emit_message(TRUE, 'shelfcast', %s)
