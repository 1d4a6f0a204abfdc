-- Versions that have landed and that the history does not hold; there must be none.
SELECT {% for key in keys %}l.{{ key }}, {% endfor %}l.generation, l.position_ordinal
FROM {{ landed }} l
LEFT JOIN {{ changes }} c
    ON {% for key in keys %}c.{{ key }} = l.{{ key }} AND {% endfor %}c.generation = l.generation
    AND c.position_ordinal = l.position_ordinal
WHERE c.generation IS NULL
