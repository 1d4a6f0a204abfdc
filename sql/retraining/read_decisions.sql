-- The governor's requests for a model, and its decision of one date whatever it was.
SELECT decision_id, business_date, outcome, reason
FROM OPERATIONS.DECISIONS
WHERE kind = 'governor' AND model = :model AND (outcome = 'request' OR business_date = :business_date)
ORDER BY business_date
