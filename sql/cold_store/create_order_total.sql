-- What each customer has spent, as known at the close of a business date.
CREATE TABLE IF NOT EXISTS FEATURES.ORDER_TOTAL (
    business_date DATE,
    customer_id BIGINT,
    total_spent DOUBLE,
    purchase_count DOUBLE
)
