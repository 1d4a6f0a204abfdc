-- One batch of changes on its way into the history; emptied before each load.
CREATE OR REPLACE TABLE {{ table }} (
    {%- for column in definitions %}
    {{ column }},
    {%- endfor %}
    op VARCHAR,
    position BIGINT,
    position_ordinal BIGINT,
    generation BIGINT,
    committed_at TIMESTAMP,
    batch_id VARCHAR
)
