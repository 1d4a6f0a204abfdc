-- Keys that the current table holds more than once; there must be none.
SELECT {{ keys | join(", ") }}, COUNT(*) AS row_count
FROM {{ current }}
GROUP BY {{ keys | join(", ") }}
HAVING COUNT(*) > 1
