{#- Uploads the Parquet files of a folder. The connector sees a PUT, and gives each file its own name, only in a statement
    that begins with it: a comment that is sent would put all files under one name. -#}
PUT 'file://<folder>/*.parquet' @RAW.LANDING/{{ path }} AUTO_COMPRESS = FALSE OVERWRITE = TRUE
