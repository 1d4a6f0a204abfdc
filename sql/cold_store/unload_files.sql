-- Writes a statement's rows to a stage, as one file: only within a file does the statement's order hold.
COPY INTO @RAW.LANDING/{{ path }}/rows.parquet
FROM (
{{ query }}
)
FILE_FORMAT = (TYPE = PARQUET)
HEADER = TRUE
SINGLE = TRUE
MAX_FILE_SIZE = 5368709120
