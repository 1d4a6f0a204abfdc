-- A later generation begins with a snapshot: rows that it no longer holds were deleted while nobody read the log.
-- What counts is the history before it, not the rows as they are now: a row that was written again since was deleted all
-- the same, and what a load that was given up left behind is in no other place.
INSERT INTO {{ changes }} (
    {{ keys | join(", ") }}, op, position, position_ordinal, generation, committed_at, known_at, batch_id
)
SELECT
    {% for key in keys %}c.{{ key }}, {% endfor %}
    'd', 0, 0, :generation, NULL, NULL, :batch_id
FROM (
    SELECT {{ keys | join(", ") }}, op
    FROM {{ changes }}
    WHERE generation < :generation
    QUALIFY ROW_NUMBER() OVER (
        PARTITION BY {{ keys | join(", ") }} ORDER BY generation DESC, position_ordinal DESC
    ) = 1
) c
-- what the snapshot holds, and what an earlier try of this statement added, lies before all that was streamed
LEFT JOIN {{ changes }} s
    ON {% for key in keys %}c.{{ key }} = s.{{ key }} AND {% endfor %}s.generation = :generation
    AND (s.op = 'r' OR s.position_ordinal = 0)
-- a row that the snapshot holds but that went to quarantine was not deleted: its last good version stays
LEFT JOIN (
    SELECT DISTINCT
        {%- for definition in key_definitions %}
        {%- set key, type = definition.split(" ", 1) %}
        {%- set text = "JSON_EXTRACT_PATH_TEXT(row_json, '" ~ key ~ "')" %}
        {%- if type in ("DATE", "TIMESTAMP") %}{% set text = "REPLACE(" ~ text ~ ", 'Z', '')" %}{% endif %}
        TRY_CAST({{ text }} AS {{ type }}) AS {{ key }}{{ "," if not loop.last }}
        {%- endfor %}
    FROM QUARANTINE.BAD_ROWS
    WHERE batch_id = :batch_id AND table_name = :table_name AND COALESCE(op, 'r') = 'r'
) q
    ON {% for key in keys %}c.{{ key }} = q.{{ key }}{{ " AND " if not loop.last }}{% endfor %}
WHERE c.op <> 'd' AND s.generation IS NULL AND q.{{ keys[0] }} IS NULL
