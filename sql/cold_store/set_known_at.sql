-- A change is known at the close of the first business day that was closed at or after the change's log position.
UPDATE {{ changes }}
SET known_at = s.known_at
FROM (
    SELECT c.generation AS g, c.position AS p, MIN(d.closed_at) AS known_at
    FROM (SELECT DISTINCT generation, position FROM {{ changes }} WHERE known_at IS NULL) c
    INNER JOIN OPERATIONS.BUSINESS_DATES d
        ON d.generation > c.generation OR (d.generation = c.generation AND d.position >= c.position)
    GROUP BY c.generation, c.position
) s
WHERE {{ changes }}.known_at IS NULL AND {{ changes }}.generation = s.g AND {{ changes }}.position = s.p
