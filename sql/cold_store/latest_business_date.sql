-- The newest complete business date that has features; NULL before the first.
SELECT MAX(business_date) AS business_date FROM FEATURES.DEMAND
