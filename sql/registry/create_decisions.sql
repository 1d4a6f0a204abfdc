-- Decisions of the gate and of the governor, each with its reason and all its numbers.
CREATE TABLE IF NOT EXISTS OPERATIONS.DECISIONS (
    decision_id VARCHAR,
    kind VARCHAR,
    model VARCHAR,
    business_date DATE,
    outcome VARCHAR,
    reason VARCHAR,
    details_json VARCHAR,
    decided_at TIMESTAMP
)
