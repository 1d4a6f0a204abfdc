-- How many rows one of the statements beside this one answers, and of how many different entities.
SELECT COUNT(*) AS vectors, COUNT(DISTINCT {{ entity }}) AS entities
FROM (
    {% include "hot_store/" ~ statement ~ ".sql" %}
)
