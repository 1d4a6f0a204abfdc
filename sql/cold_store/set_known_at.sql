-- A change is known at the close of the first business day that was closed at or after the change's log position.
-- A row of a later snapshot, which may stand for days that were closed meanwhile, is not known before it happened.
{%- set happened = "'1970-01-01'::DATE" %}
{%- if known_column is defined %}
{%- set happened = "CASE WHEN op = 'r' THEN " ~ known_column ~ "::DATE ELSE '1970-01-01'::DATE END" %}
{%- endif %}
UPDATE {{ changes }}
SET known_at = s.known_at
FROM (
    SELECT c.g, c.p, c.h, MIN(d.closed_at) AS known_at
    FROM (
        SELECT DISTINCT generation AS g, position AS p, {{ happened }} AS h FROM {{ changes }} WHERE known_at IS NULL
    ) c
    INNER JOIN OPERATIONS.BUSINESS_DATES d
        ON (d.generation > c.g OR (d.generation = c.g AND d.position >= c.p)) AND d.business_date >= c.h
    GROUP BY c.g, c.p, c.h
) s
WHERE {{ changes }}.known_at IS NULL AND {{ changes }}.generation = s.g AND {{ changes }}.position = s.p
    AND {{ happened }} = s.h
