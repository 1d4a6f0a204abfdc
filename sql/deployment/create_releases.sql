-- What became of each release that was tried: promoted or rolled back, with the reason.
CREATE TABLE IF NOT EXISTS OPERATIONS.RELEASES (
    release_id VARCHAR,
    run_id VARCHAR,
    model VARCHAR,
    version VARCHAR,
    mlflow_run_id VARCHAR,
    previous VARCHAR,
    outcome VARCHAR,
    reason VARCHAR,
    cutoff DATE,
    decided_at TIMESTAMP
)
