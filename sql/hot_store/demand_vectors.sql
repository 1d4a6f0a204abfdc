-- As-of features of every active series at the close of a business date.
SELECT * FROM FEATURES.DEMAND WHERE business_date = :business_date AND is_active ORDER BY series_id
