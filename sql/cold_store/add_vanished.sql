-- A later generation begins with a snapshot: rows that it no longer holds were deleted while nobody read the log.
INSERT INTO {{ changes }} (
    {{ keys | join(", ") }}, op, position, position_ordinal, generation, committed_at, known_at, batch_id
)
SELECT
    {% for key in keys %}c.{{ key }}, {% endfor %}
    'd', 0, 0, :generation, NULL, NULL, :batch_id
FROM {{ current }} c
LEFT JOIN {{ changes }} s
    ON {% for key in keys %}c.{{ key }} = s.{{ key }} AND {% endfor %}s.generation = :generation
WHERE c.generation < :generation AND s.generation IS NULL
