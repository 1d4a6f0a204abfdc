-- Uploads the Parquet files of a folder.
PUT 'file://<folder>/*.parquet' @RAW.LANDING/{{ place }} AUTO_COMPRESS = FALSE OVERWRITE = TRUE
