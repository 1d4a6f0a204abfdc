-- Covariates of the days to come, as planned or forecast at the close of a business date; NULL is not known.
CREATE TABLE IF NOT EXISTS FEATURES.DEMAND_AHEAD (
    business_date DATE,
    series_id VARCHAR,
    horizon_days BIGINT,
    sales_date DATE,
    on_promotion DOUBLE,
    discount DOUBLE,
    promotion_day DOUBLE,
    price DOUBLE,
    is_open DOUBLE,
    is_open_day_before DOUBLE,
    is_open_day_after DOUBLE,
    is_public_holiday DOUBLE,
    is_school_holiday DOUBLE,
    temperature_celsius DOUBLE,
    precipitation_mm DOUBLE
)
