-- A later generation begins with a snapshot: rows that it no longer holds were deleted while nobody read the log.
-- A row that it holds but that went to quarantine was not deleted: its last good version stays.
INSERT INTO {{ changes }} (
    {{ keys | join(", ") }}, op, position, position_ordinal, generation, committed_at, known_at, batch_id
)
SELECT
    {% for key in keys %}c.{{ key }}, {% endfor %}
    'd', 0, 0, :generation, NULL, NULL, :batch_id
FROM {{ current }} c
LEFT JOIN {{ changes }} s
    ON {% for key in keys %}c.{{ key }} = s.{{ key }} AND {% endfor %}s.generation = :generation
LEFT JOIN (
    SELECT DISTINCT
        {%- for definition in key_definitions %}
        {%- set key, type = definition.split(" ", 1) %}
        {%- set text = "JSON_EXTRACT_PATH_TEXT(row_json, '" ~ key ~ "')" %}
        {%- if type in ("DATE", "TIMESTAMP") %}{% set text = "REPLACE(" ~ text ~ ", 'Z', '')" %}{% endif %}
        TRY_CAST({{ text }} AS {{ type }}) AS {{ key }}{{ "," if not loop.last }}
        {%- endfor %}
    FROM QUARANTINE.BAD_ROWS
    WHERE batch_id = :batch_id AND table_name = :table_name
) q
    ON {% for key in keys %}c.{{ key }} = q.{{ key }}{{ " AND " if not loop.last }}{% endfor %}
WHERE c.generation < :generation AND s.generation IS NULL AND q.{{ keys[0] }} IS NULL
