-- Forgets an earlier try of the same decision.
DELETE FROM OPERATIONS.DECISIONS WHERE decision_id = :decision_id
