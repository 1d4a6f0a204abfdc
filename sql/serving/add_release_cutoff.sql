-- For a ledger that is older than the column; what it holds is of releases whose cutoff was not noted.
ALTER TABLE FORECASTS.LEDGER ADD COLUMN IF NOT EXISTS release_cutoff DATE
