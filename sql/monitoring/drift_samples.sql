-- Season-free, scale-free quantities of the newest date, of the same weekday in recent weeks, and around last year's day.
WITH
-- the same weekday throughout, so that the week's profile cannot be mistaken for drift
dates AS (
    SELECT
        business_date,
        DAYOFWEEKISO(business_date) AS weekday,
        CASE
            WHEN business_date = :business_date::DATE THEN 'newest'
            WHEN business_date >= DATEADD(day, -7 * :recent_weeks, :business_date::DATE)::DATE THEN 'recent_weeks'
            ELSE 'last_year'
        END AS sample
    FROM OPERATIONS.BUSINESS_DATES
    WHERE
        business_date <= :business_date
        AND MOD(DATEDIFF(day, business_date, :business_date::DATE), 7) = 0
        AND (
            business_date >= DATEADD(day, -7 * :recent_weeks, :business_date::DATE)::DATE
            OR ABS(DATEDIFF(day, business_date, :business_date::DATE) - 364) <= 7 * :last_year_weeks
        )
),
-- promotions as known now: a promotion that was planned is not drift
promotions_known AS (
    SELECT promotion_id, store_id, item_id, starts_on, ends_on, op
    FROM RAW.PROMOTIONS_CHANGES
    WHERE known_at <= :known_until
    QUALIFY ROW_NUMBER() OVER (PARTITION BY promotion_id ORDER BY generation DESC, position_ordinal DESC) = 1
),
promotion_days AS (
    SELECT DISTINCT p.store_id, p.item_id, d.business_date
    FROM promotions_known p
    INNER JOIN dates d ON d.business_date BETWEEN p.starts_on AND p.ends_on
    WHERE p.op <> 'd'
),
-- a fixed choice of series bounds the work in a large shop
series AS (
    SELECT DISTINCT series_id
    FROM FEATURES.DEMAND
    WHERE business_date = :business_date AND is_active
    QUALIFY DENSE_RANK() OVER (ORDER BY MD5(series_id)) <= :series_limit
),
-- the year's profile of the weekday with or without promotion, brought to the level of the last four weeks
expected AS (
    SELECT
        f.business_date,
        d.sample,
        f.units_lag_1,
        f.units_mean_28,
        f.units_std_28,
        f.zero_share_28,
        f.stockout_share_28,
        f.price_latest,
        f.price_mean_56,
        f.units_mean_28 / NULLIF(f.units_mean_364, 0)
        * CASE d.weekday
            {%- for day in range(1, 8) %}
            WHEN {{ day }} THEN
                IFF(
                    p.business_date IS NULL,
                    f.weekday_regular_mean_{{ day }},
                    COALESCE(
                        f.weekday_promotion_mean_{{ day }},
                        f.weekday_regular_mean_{{ day }} * COALESCE(f.promotion_uplift_364, 1)
                    )
                )
            {%- endfor %}
        END AS units_expected
    FROM FEATURES.DEMAND f
    INNER JOIN dates d ON f.business_date = d.business_date
    INNER JOIN series s ON f.series_id = s.series_id
    LEFT JOIN promotion_days p
        ON f.store_id = p.store_id AND f.item_id = p.item_id AND f.business_date = p.business_date
    WHERE f.is_active
)
SELECT
    sample,
    -- half a unit keeps days without sales in
    LN((units_lag_1 + 0.5) / (units_expected + 0.5)) AS demand_level,
    -- 0 for a Poisson process, whatever its mean
    LN((units_std_28 + 0.5) / (SQRT(units_mean_28) + 0.5)) AS demand_variability,
    zero_share_28 AS zero_share,
    stockout_share_28 AS stockout_share,
    LN(NULLIF(price_latest, 0) / NULLIF(price_mean_56, 0)) AS price_level
FROM expected
