-- Post-conditions of a partition: rows, entities, and how many of them are active.
SELECT
    COUNT(*) AS row_count,
    COUNT(DISTINCT {{ entity }}) AS entities,
    {% if has_activity is defined %}COUNT(CASE WHEN is_active THEN 1 END){% else %}COUNT(*){% endif %} AS active
FROM {{ table }}
WHERE business_date = :business_date
