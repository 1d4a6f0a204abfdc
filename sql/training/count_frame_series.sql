-- Active series of all origins of a training frame together.
SELECT COUNT(*) AS series
FROM {{ table }}
WHERE
    business_date BETWEEN :first_origin AND :cutoff
    AND MOD(DATEDIFF(DAY, business_date, :cutoff::DATE), :origin_step_days) = 0
    AND is_active
