-- Promotions, prices and closures as the business dates of a range see them, each at its own close: what is told of days
-- that are over counts from the first date that knew of it to the first that knew better. No date looks ahead, so what is
-- told in time counts for all of them.
{%- macro of_fact(order) -%}
(PARTITION BY kind, fact_id ORDER BY {{ order }})
{%- endmacro %}
{%- set following = "(ORDER BY told_at, is_close ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)" %}
WITH
closes AS (
    SELECT
        business_date,
        closed_at,
        COALESCE(LAG(business_date) OVER (ORDER BY business_date), DATEADD(DAY, -1, business_date)::DATE) AS date_before
    FROM OPERATIONS.BUSINESS_DATES
    WHERE
        business_date BETWEEN :from_date AND :until_date
        {%- if has_steps is defined %}
        AND MOD(DATEDIFF(DAY, business_date, :until_date::DATE), :step_days) = 0
        {%- endif %}
),
versions AS (
    SELECT
        'promotion' AS kind,
        promotion_id::VARCHAR AS fact_id,
        store_id,
        item_id,
        starts_on,
        ends_on,
        NULL::DOUBLE AS price,
        op,
        generation,
        position_ordinal,
        GREATEST(known_at, COALESCE(announced_at, known_at)) AS told_at
    FROM RAW.PROMOTIONS_CHANGES
    WHERE known_at <= :known_until
    UNION ALL
    SELECT
        'price' AS kind,
        item_id || '@' || store_id || '@' || valid_from::VARCHAR AS fact_id,
        store_id,
        item_id,
        valid_from AS starts_on,
        NULL::DATE AS ends_on,
        price::DOUBLE AS price,
        op,
        generation,
        position_ordinal,
        GREATEST(known_at, COALESCE(announced_at, known_at)) AS told_at
    FROM RAW.PRICES_CHANGES
    WHERE known_at <= :known_until AND valid_from <= :until_date
    UNION ALL
    SELECT
        'closure' AS kind,
        store_id || '@' || closed_on::VARCHAR AS fact_id,
        store_id,
        NULL AS item_id,
        closed_on AS starts_on,
        closed_on AS ends_on,
        NULL::DOUBLE AS price,
        op,
        generation,
        position_ordinal,
        GREATEST(known_at, COALESCE(announced_at, known_at)) AS told_at
    FROM RAW.STORE_CLOSURES_CHANGES
    WHERE known_at <= :known_until AND closed_on <= :until_date
),
-- the first date whose close is not before a moment, and the date before that one
moments AS (
    SELECT
        told_at,
        is_close,
        MIN(business_date) OVER {{ following }} AS seen_on,
        MIN(date_before) OVER {{ following }} AS date_before
    FROM (
        SELECT DISTINCT told_at, 0 AS is_close, NULL::DATE AS business_date, NULL::DATE AS date_before FROM versions
        UNION ALL
        SELECT closed_at AS told_at, 1 AS is_close, business_date, date_before FROM closes
    ) m
),
seen AS (
    SELECT
        v.*,
        m.seen_on,
        m.date_before,
        MIN(m.seen_on) OVER (
            PARTITION BY v.kind, v.fact_id ORDER BY v.generation, v.position_ordinal
            ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
        ) AS superseded_on
    FROM versions v
    INNER JOIN moments m ON v.told_at = m.told_at
    WHERE m.is_close = 0 AND m.seen_on IS NOT NULL
),
-- versions that were the newest one at some close, beside the version before
chained AS (
    SELECT
        *,
        op <> 'd' AND starts_on <= date_before AS has_past,
        LAG(CASE WHEN op <> 'd' THEN starts_on END) OVER {{ of_fact("seen_on") }} AS starts_before,
        LAG(ends_on) OVER {{ of_fact("seen_on") }} AS ends_before,
        LAG(price) OVER {{ of_fact("seen_on") }} AS price_before
    FROM seen
    WHERE COALESCE(superseded_on > seen_on, TRUE)
),
-- a version that says the same of the days that are over as the one before takes its place from the beginning
told AS (
    SELECT
        *,
        SUM(
            CASE
                WHEN has_past <> COALESCE(starts_before <= date_before, FALSE) THEN 1
                WHEN NOT has_past THEN 0
                WHEN starts_on <> starts_before OR price <> price_before THEN 1
                WHEN ends_on <> ends_before AND LEAST(ends_on, ends_before) < date_before THEN 1
                ELSE 0
            END
        ) OVER {{ of_fact("seen_on ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW") }} AS pasts_told
    FROM chained
)
SELECT
    kind,
    store_id,
    item_id,
    starts_on,
    ends_on,
    price,
    op,
    IFF(
        pasts_told = 0,
        :from_date::DATE,
        MIN(seen_on) OVER (PARTITION BY kind, fact_id, pasts_told)
    ) AS seen_from,
    superseded_on AS seen_until
FROM told
QUALIFY ROW_NUMBER() OVER (PARTITION BY kind, fact_id, pasts_told ORDER BY seen_on DESC) = 1
