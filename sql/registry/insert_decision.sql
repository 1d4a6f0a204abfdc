-- One decision.
INSERT INTO OPERATIONS.DECISIONS (
    decision_id, kind, model, business_date, outcome, reason, details_json, decided_at
)
SELECT
    :decision_id, :kind, :model, :business_date::DATE, :outcome, :reason, :details_json,
    CURRENT_TIMESTAMP::TIMESTAMP_NTZ
