-- A decision by its id.
SELECT decision_id, kind, model, business_date, outcome, reason, details_json
FROM OPERATIONS.DECISIONS
WHERE decision_id = :decision_id
