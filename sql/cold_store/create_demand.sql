-- Features of each series as known at the close of a business date; NULL where there is no history for it.
CREATE TABLE IF NOT EXISTS FEATURES.DEMAND (
    business_date DATE,
    series_id VARCHAR,
    store_id VARCHAR,
    item_id VARCHAR,
    is_active BOOLEAN,
    units_mean_7 DOUBLE,
    units_mean_14 DOUBLE,
    units_mean_28 DOUBLE,
    units_mean_56 DOUBLE,
    units_mean_182 DOUBLE,
    units_mean_364 DOUBLE,
    units_std_28 DOUBLE,
    zero_share_28 DOUBLE,
    {%- for day in range(1, 8) %}
    units_lag_{{ day }} DOUBLE,
    {%- endfor %}
    {%- for day in range(1, 8) %}
    weekday_mean_{{ day }} DOUBLE,
    weekday_regular_mean_{{ day }} DOUBLE,
    weekday_promotion_mean_{{ day }} DOUBLE,
    {%- endfor %}
    level_7 DOUBLE,
    level_14 DOUBLE,
    level_28 DOUBLE,
    level_56 DOUBLE,
    regular_level_14 DOUBLE,
    regular_level_56 DOUBLE,
    promotion_uplift_364 DOUBLE,
    days_since_first_sale DOUBLE,
    days_since_last_sale DOUBLE,
    price_mean_56 DOUBLE,
    price_latest DOUBLE,
    stockout_share_28 DOUBLE,
    units_next_28_last_year DOUBLE,
    store_units_mean_28 DOUBLE,
    item_units_mean_28 DOUBLE
)
