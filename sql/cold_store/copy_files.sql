-- Loads what was uploaded to one path, by column name; the caller sees to it that nothing is loaded twice.
COPY INTO {{ table }}
FROM @RAW.LANDING/{{ path }}/
FILE_FORMAT = (TYPE = PARQUET)
MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE
FORCE = TRUE
