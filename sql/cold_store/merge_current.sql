-- Brings the current rows up to the newest version of each key in the history.
MERGE INTO {{ current }} t
USING (
    SELECT {{ columns | join(", ") }}, op, position, position_ordinal, generation
    FROM {{ changes }}
    WHERE batch_id = :batch_id
    QUALIFY ROW_NUMBER() OVER (
        PARTITION BY {{ keys | join(", ") }} ORDER BY generation DESC, position_ordinal DESC
    ) = 1
) s
ON {% for key in keys %}t.{{ key }} = s.{{ key }}{{ " AND " if not loop.last }}{% endfor %}
WHEN MATCHED AND s.op = 'd'
    AND (s.generation > t.generation OR (s.generation = t.generation AND s.position_ordinal >= t.position_ordinal))
    THEN DELETE
WHEN MATCHED
    AND (s.generation > t.generation OR (s.generation = t.generation AND s.position_ordinal >= t.position_ordinal))
    THEN UPDATE SET
    {%- for column in columns if column not in keys %}
    {{ column }} = s.{{ column }},
    {%- endfor %}
    position = s.position, position_ordinal = s.position_ordinal, generation = s.generation
WHEN NOT MATCHED AND s.op <> 'd' THEN INSERT ({{ columns | join(", ") }}, position, position_ordinal, generation)
VALUES ({% for column in columns %}s.{{ column }}, {% endfor %}s.position, s.position_ordinal, s.generation)
