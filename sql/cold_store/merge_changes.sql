-- Adds the batch's versions that the history does not hold yet.
MERGE INTO {{ changes }} t
USING (
    SELECT
        *,
        {% if is_replay is defined -%}
        -- a row out of quarantine is known after the newest close: no close before can have known of it
        (SELECT DATEADD(MICROSECOND, 1, MAX(closed_at)) FROM OPERATIONS.BUSINESS_DATES) AS known_at
        {%- else -%}
        -- rows of the first snapshot count as known when they happened; later ones get a day's close
        CASE WHEN op = 'r' AND generation = :first_generation THEN
            {% if known_column is defined %}{{ known_column }}::TIMESTAMP{% else %}'1970-01-01'::TIMESTAMP{% endif %}
        END AS known_at
        {%- endif %}
    FROM {{ landed }}
    QUALIFY ROW_NUMBER() OVER (
        PARTITION BY {{ keys | join(", ") }}, generation, position_ordinal ORDER BY position
    ) = 1
) s
ON {% for key in keys %}t.{{ key }} = s.{{ key }} AND {% endfor %}t.generation = s.generation
    AND t.position_ordinal = s.position_ordinal
WHEN NOT MATCHED THEN INSERT (
    {{ columns | join(", ") }}, op, position, position_ordinal, generation, committed_at, known_at, batch_id
) VALUES (
    {% for column in columns %}s.{{ column }}, {% endfor %}s.op, s.position, s.position_ordinal, s.generation,
    s.committed_at, s.known_at, s.batch_id
)
