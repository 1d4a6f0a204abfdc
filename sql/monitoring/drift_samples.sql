-- Season-free, scale-free quantities of the newest date, of the same weekday in recent weeks, and around last year's day.
WITH
-- the same weekday throughout, so that the week's profile cannot be mistaken for drift
dates AS (
    SELECT
        b.business_date,
        DAYOFWEEKISO(b.business_date) AS weekday,
        CASE
            WHEN b.business_date = :business_date THEN 'newest'
            WHEN b.business_date >= :recent_from THEN 'recent_weeks'
            ELSE 'last_year'
        END AS sample_name
    FROM OPERATIONS.BUSINESS_DATES b
    WHERE
        (
            b.business_date BETWEEN :recent_from AND :business_date
            OR b.business_date BETWEEN :last_year_from AND :last_year_until
        )
        AND DAYOFWEEKISO(b.business_date) = DAYOFWEEKISO(:business_date::DATE)
),
-- promotions as known now: a promotion that was planned is not drift
promotions_known AS (
    SELECT promotion_id, store_id, item_id, starts_on, ends_on, op
    FROM RAW.PROMOTIONS_CHANGES
    WHERE known_at <= :known_until
    QUALIFY ROW_NUMBER() OVER (PARTITION BY promotion_id ORDER BY generation DESC, position_ordinal DESC) = 1
),
-- days on promotion: the date itself, and in the last four and fifty-two weeks
promotion_days AS (
    SELECT
        p.store_id,
        p.item_id,
        d.business_date,
        MAX(IFF(p.ends_on >= d.business_date, 1, 0)) AS on_promotion,
        {%- for days in (28, 364) %}
        SUM(
            GREATEST(0, 1 + LEAST(p.ends_on, d.business_date) - GREATEST(p.starts_on, d.business_date - {{ days - 1 }}))
        ) AS promotion_days_{{ days }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    FROM promotions_known p
    INNER JOIN dates d
        ON p.starts_on <= d.business_date AND p.ends_on >= d.business_date - 363
    WHERE p.op <> 'd'
    GROUP BY p.store_id, p.item_id, d.business_date
),
-- a fixed choice of series bounds the work in a large shop
series AS (
    SELECT DISTINCT series_id
    FROM FEATURES.DEMAND
    WHERE business_date = :business_date AND is_active
    QUALIFY DENSE_RANK() OVER (ORDER BY MD5(series_id)) <= :series_limit
),
features AS (
    SELECT
        f.business_date,
        d.sample_name,
        f.units_lag_1,
        f.units_mean_28,
        f.units_std_28,
        f.zero_share_28,
        f.stockout_share_28,
        f.price_latest,
        f.price_mean_56,
        COALESCE(f.promotion_uplift_364, 1) AS uplift,
        CASE d.weekday
            {%- for day in range(1, 8) %}
            WHEN {{ day }} THEN f.weekday_regular_mean_{{ day }}
            {%- endfor %}
        END AS regular_mean,
        CASE d.weekday
            {%- for day in range(1, 8) %}
            WHEN {{ day }} THEN f.weekday_promotion_mean_{{ day }}
            {%- endfor %}
        END AS promotion_mean,
        COALESCE(p.on_promotion, 0) = 1 AS on_promotion,
        LEAST(1, COALESCE(p.promotion_days_28, 0) / 28) AS promotion_share_28,
        LEAST(1, COALESCE(p.promotion_days_364, 0) / LEAST(364, f.days_since_first_sale + 1)) AS promotion_share_364,
        f.units_mean_364
    FROM FEATURES.DEMAND f
    INNER JOIN dates d ON f.business_date = d.business_date
    INNER JOIN series s ON f.series_id = s.series_id
    LEFT JOIN promotion_days p
        ON f.store_id = p.store_id AND f.item_id = p.item_id AND f.business_date = p.business_date
    WHERE f.is_active
),
-- the year's profile of the weekday with or without promotion, brought to the level of the last four weeks; a level
-- is a mean with its promotions taken out, so a month of many promotions is no high season
expected AS (
    SELECT
        *,
        IFF(on_promotion, COALESCE(promotion_mean, regular_mean * uplift), regular_mean)
        * (units_mean_28 / NULLIF(1 + promotion_share_28 * (uplift - 1), 0))
        / NULLIF(units_mean_364 / NULLIF(1 + promotion_share_364 * (uplift - 1), 0), 0) AS units_expected
    FROM features
)
SELECT
    business_date,
    sample_name,
    -- half a unit keeps days without sales in
    LN((units_lag_1 + 0.5) / (units_expected + 0.5)) AS demand_level,
    -- 0 for a Poisson process, whatever its mean
    LN((units_std_28 + 0.5) / (SQRT(units_mean_28) + 0.5)) AS demand_variability,
    zero_share_28 AS zero_share,
    stockout_share_28 AS stockout_share,
    LN(NULLIF(price_latest, 0) / NULLIF(price_mean_56, 0)) AS price_level
FROM expected
