-- Empties the governor's decision of one business date, for the one that replaces it.
DELETE FROM OPERATIONS.DECISIONS
WHERE kind = 'governor' AND model = :model AND business_date = :business_date
