-- Loads what was uploaded to one place, by column name; the caller sees to it that nothing is loaded twice.
COPY INTO {{ table }}
FROM @RAW.LANDING/{{ place }}/
FILE_FORMAT = (TYPE = PARQUET)
MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE
FORCE = TRUE
