-- Brings the current rows up to the newest version of each key in the history.
MERGE INTO {{ current }} t
USING (
    SELECT {% for column in columns %}h.{{ column }}, {% endfor %}h.op, h.position, h.position_ordinal, h.generation
    FROM {{ changes }} h
    -- of the batch's keys the whole history: a late change must not bring back what was deleted after it
    INNER JOIN (SELECT DISTINCT {{ keys | join(", ") }} FROM {{ changes }} WHERE batch_id = :batch_id) b
        ON {% for key in keys %}h.{{ key }} = b.{{ key }}{{ " AND " if not loop.last }}{% endfor %}
    QUALIFY ROW_NUMBER() OVER (
        PARTITION BY {% for key in keys %}h.{{ key }}{{ ", " if not loop.last }}{% endfor %}
        ORDER BY h.generation DESC, h.position_ordinal DESC
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
