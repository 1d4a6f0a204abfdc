-- The rows of a shop table as they are now.
CREATE TABLE IF NOT EXISTS {{ table }} (
    {%- for column in definitions %}
    {{ column }},
    {%- endfor %}
    position BIGINT,
    position_ordinal BIGINT,
    generation BIGINT
)
