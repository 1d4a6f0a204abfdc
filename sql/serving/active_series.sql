-- Series that a forecast or a reason is owed for.
SELECT series_id FROM FEATURES.DEMAND WHERE business_date = :business_date AND is_active ORDER BY series_id
