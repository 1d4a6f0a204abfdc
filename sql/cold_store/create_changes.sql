-- Every version of every row of a shop table, in the order of the change log.
CREATE TABLE IF NOT EXISTS {{ table }} (
    {%- for column in definitions %}
    {{ column }},
    {%- endfor %}
    op VARCHAR,
    position BIGINT,
    position_ordinal BIGINT,
    generation BIGINT,
    committed_at TIMESTAMP,
    known_at TIMESTAMP,
    batch_id VARCHAR
)
