-- What became of one release in one run.
INSERT INTO OPERATIONS.RELEASES (
    release_id, run_id, model, version, mlflow_run_id, previous, outcome, reason, cutoff, decided_at
)
SELECT
    :release_id, :run_id, :model, :version, :mlflow_run_id, :previous, :outcome, :reason, :cutoff::DATE,
    CURRENT_TIMESTAMP::TIMESTAMP_NTZ
