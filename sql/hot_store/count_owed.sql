-- How many vectors the hot store owes for a business date: one an active series, one a customer.
SELECT
    (SELECT COUNT(*) FROM FEATURES.DEMAND WHERE business_date = :business_date AND is_active)
    + (SELECT COUNT(*) FROM FEATURES.ORDER_TOTAL WHERE business_date = :business_date) AS vectors
