-- The newest business day that the shop has closed; NULL while there is none.
SELECT MAX(business_date) AS business_date FROM sales.business_days
