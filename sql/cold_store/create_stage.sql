-- Where Parquet files wait for COPY; its definition may be gone after a restart of the emulator, its files are not.
CREATE STAGE IF NOT EXISTS RAW.LANDING
