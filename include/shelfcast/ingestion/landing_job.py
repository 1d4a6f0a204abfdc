"""Spark entry point: change files into the Delta change log, and what is new of it into files for the cold store.

Runs as an application of its own (`spark-submit landing_job.py --landing … --export …`), killed at any point and run
again with the same result: the stream's checkpoint and the Delta log know what has landed, and the export is made
anew from the Delta log each time. If the checkpoint is lost, the generation lands anew in place of what had landed.
"""

import argparse
import json
from dataclasses import replace
from typing import Any

from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - PySpark's own name for it

from shelfcast import storage
from shelfcast.errors import IngestionError, first_offenders
from shelfcast.ingestion.batch import QUARANTINE, Batch, changes_written, check_landed, drains
from shelfcast.ingestion.change_files import ChangeFolder
from shelfcast.ingestion.generations import SNAPSHOT_ADVICE
from shelfcast.ingestion.row_checks import cast, reason
from shelfcast.sources.shop_columns import missing_columns
from shelfcast.sources.shop_schema import TABLES, Table
from shelfcast.storage import Location

APPLICATION = "shelfcast.landing"
ENVELOPE = (
    "op STRING, before STRING, after STRING, source STRUCT<table: STRING, lsn: BIGINT, sequence: STRING, ts_ms: BIGINT>"
)
"""Of Debezium's envelope, what is used; an object read as STRING keeps its JSON text."""
FEW_CHANGES = 20_000
"""Up to so many, Java that Spark generates and compiles for each query costs more than it brings."""
INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
FILE_NAME = r"drain-(\d+)-from-(\d+)-part-\d+(?:-changes-\d+)?\.jsonl\.gz$"


def main() -> None:
    """Reads the command line and runs the job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--landing", type=storage.location, required=True)
    parser.add_argument("--generation", type=int, required=True)
    parser.add_argument("--after-drain", type=int, required=True)
    parser.add_argument("--batch-id", required=True)
    parser.add_argument("--export", type=storage.location, required=True)
    options = parser.parse_args()
    spark = SparkSession.builder.appName(APPLICATION).getOrCreate()
    with storage.one_writer(options.landing / "landing.lock"):
        written = changes_written(options.landing, options.generation, after_drain=options.after_drain)
        if sum(written.values()) <= FEW_CHANGES:
            for name, value in INTERPRETED.items():
                spark.conf.set(name, value)
        land(spark, options.landing, options.generation)
        landed = changes_landed(spark, options.landing, options.generation, after_drain=options.after_drain)
        check_landed(written, landed, checkpoint=checkpoint_of(options.landing, options.generation))
        changes = unloaded(spark, options.landing, options.generation, options.after_drain)
        first, last = drains(options.landing, options.generation, after_drain=options.after_drain)
        batch = Batch(batch_id=options.batch_id, generation=options.generation, first_drain=first, last_drain=last)
        export(changes, options.export, batch)
    spark.stop()


def land(spark: SparkSession, landing: Location, generation: int) -> None:
    """Streams change files that have not landed yet into the Delta change log."""
    folder = ChangeFolder(landing).generation_folder(generation)
    stream = spark.readStream.format("text").option("pathGlobFilter", "*.jsonl.gz").load(str(folder))
    log, checkpoint = landing / "delta" / "changes", checkpoint_of(landing, generation)

    def write(rows: DataFrame, number: int) -> None:
        writer = parsed(rows, generation).write.format("delta").partitionBy("generation", "table_name")
        # a checkpoint made anew counts from 0 again: Delta must not take its batches for those of the one before
        query = json.loads((checkpoint / "metadata").read_text())["id"]
        named = writer.option("txnAppId", f"{APPLICATION}.{generation}.{query}").option("txnVersion", number)
        if number:
            named.mode("append").save(str(log))
        else:  # the first batch of a checkpoint stands in for all that landed before it
            named.mode("overwrite").option("replaceWhere", f"generation = {generation}").save(str(log))

    started = stream.select("value", F.col("_metadata.file_name").alias("file")).writeStream.foreachBatch(write)
    started.option("checkpointLocation", str(checkpoint)).trigger(availableNow=True).start().awaitTermination()


def checkpoint_of(landing: Location, generation: int) -> Location:
    """Folder in which the stream of a generation remembers what has landed."""
    return landing / "checkpoints" / f"generation={generation:04d}"


def parsed(lines: DataFrame, generation: int) -> DataFrame:
    """Debezium's envelope as columns; marks and other messages are left out.

    `position` orders transactions: it is the log position at which the transaction before was committed, or, for the
    first one of a drain, where the drain began. `position_ordinal` orders changes of one row: their own log position.
    """
    event = lines.select(F.from_json("value", ENVELOPE).alias("_"), "file").select("_.*", "file")
    own = F.col("source.lsn")
    # Debezium puts the numbers in quotes; get_json_object would make the text "null" of the first transaction's null
    before = F.from_json("source.sequence", "ARRAY<STRING>")[0].cast("bigint")
    began = F.regexp_extract("file", FILE_NAME, 2).cast("bigint")
    is_snapshot = F.col("op") == "r"
    return event.select(
        F.lit(generation).alias("generation"),
        F.regexp_extract("file", FILE_NAME, 1).cast("bigint").alias("drain"),
        F.col("source.table").alias("table_name"),
        "op",
        F.when(is_snapshot, F.lit(0)).otherwise(F.coalesce(before, F.greatest(own, began))).alias("position"),
        F.when(is_snapshot, F.lit(0)).otherwise(own).alias("position_ordinal"),
        F.timestamp_millis("source.ts_ms").cast("timestamp_ntz").alias("committed_at"),
        F.when(F.col("op") == "d", F.col("before")).otherwise(F.col("after")).alias("row_json"),
    ).where(F.col("op").isin("r", "c", "u", "d") & F.col("table_name").isin(*TABLES))


def changes_landed(spark: SparkSession, landing: Location, generation: int, *, after_drain: int) -> dict[int, int]:
    """Rows of the Delta change log by drain, of later drains than the last one loaded."""
    log = spark.read.format("delta").load(str(landing / "delta" / "changes"))
    later = log.where((F.col("generation") == generation) & (F.col("drain") > after_drain))
    return {row["drain"]: row["count"] for row in later.groupBy("drain").count().collect()}


def unloaded(spark: SparkSession, landing: Location, generation: int, after_drain: int) -> DataFrame:
    """Changes of later drains than the last one loaded, each once however often it was delivered."""
    log = spark.read.format("delta").load(str(landing / "delta" / "changes"))
    return (
        log.where((F.col("generation") == generation) & (F.col("drain") > after_drain))
        .groupBy("table_name", "op", "position_ordinal", "row_json")
        .agg(F.min("position").alias("position"), F.min("committed_at").alias("committed_at"))
        .withColumn("generation", F.lit(generation).cast("bigint"))
    )


def export(changes: DataFrame, folder: Location, batch: Batch) -> None:
    """Writes one folder of Parquet a table, one for the quarantine, and `batch.json` at the end."""
    storage.remove(folder)
    kept = changes.persist()
    tables = _tables_of(kept)
    measured = {table.name: _export_table(kept, table, folder, batch) for table in tables}
    if any(counts["bad"] for counts in measured.values()):
        for table in tables:
            measured[table.name] |= _count_keys(kept, table, batch)
    counted = {what: _counted(measured, what) for what in ("good", "bad", "keys", "bad_keys")}
    replace(
        batch,
        rows=counted["good"],
        quarantined=counted["bad"],
        keys=counted["keys"],
        bad_keys=counted["bad_keys"],
    ).save(folder)


def _tables_of(changes: DataFrame) -> list[Table]:
    """The tables that were changed; raises `IngestionError` when a row came without a column, which is not the same as NULL."""
    names = F.when(F.col("op") != "d", F.json_object_keys("row_json"))
    found = changes.groupBy("table_name").agg(F.collect_set(names).alias("columns")).collect()
    missing = {
        column for row in found for there in row["columns"] for column in missing_columns({row["table_name"]: there})
    }
    if missing:
        raise IngestionError(
            f"Rows were changed while the shop had no column {first_offenders(sorted(missing))}: landed, they would lose what "
            f"it held before. Nothing was exported. See that the shop has the column again; then, to go on, {SNAPSHOT_ADVICE}"
        )
    return [TABLES[name] for name in TABLES if name in {row["table_name"] for row in found}]


def _counted(measured: dict[str, dict[str, Any]], what: str) -> dict[str, int]:
    return {name: counts[what] for name, counts in measured.items() if counts.get(what)}


def _export_table(changes: DataFrame, table: Table, folder: Location, batch: Batch) -> dict[str, Any]:
    """Writes a table's rows; the counts are taken in passing, so a table costs one pass over its changes."""
    typed = _typed(changes.where(F.col("table_name") == table.name), table, batch.batch_id)
    measured = Observation()
    is_good = F.col("quarantine_reason").isNull()
    checked = typed.observe(measured, F.count_if(is_good).alias("good"), F.count_if(~is_good).alias("bad"))
    _write(checked.where(is_good).drop("quarantine_reason", "row_json"), folder / table.name)
    counts = dict(measured.get)
    if counts["bad"]:
        _write(_quarantine_rows(typed.where(~is_good), table), folder / QUARANTINE / table.name)
    return counts


def _count_keys(changes: DataFrame, table: Table, batch: Batch) -> dict[str, Any]:
    """The table's keys in the batch, and those whose newest version is bad."""
    typed = _typed(changes.where(F.col("table_name") == table.name), table, batch.batch_id)
    is_bad = F.max_by(F.col("quarantine_reason").isNotNull(), "position_ordinal").alias("is_bad")
    newest = typed.groupBy(_row_key(table).alias("row_key")).agg(is_bad)
    (counts,) = newest.agg(F.count("*").alias("keys"), F.count_if("is_bad").alias("bad_keys")).collect()
    return counts.asDict()


def _typed(changes: DataFrame, table: Table, batch_id: str) -> DataFrame:
    """The table's columns, typed, with the technical ones and `quarantine_reason` (NULL for a good row)."""
    schema = ", ".join(f"{column.name} STRING" for column in table.columns)
    texts = changes.withColumn("_", F.from_json("row_json", schema)).select(
        *(f"_.{column.name}" for column in table.columns),
        *("op", "position", "position_ordinal", "generation", "committed_at", "row_json"),
    )
    return texts.select(
        *(F.expr(cast(column)).alias(column.name) for column in table.columns),
        *("op", "position", "position_ordinal", "generation", "committed_at", "row_json"),
        F.lit(batch_id).alias("batch_id"),
        F.expr(reason(table)).alias("quarantine_reason"),
    )


def _quarantine_rows(bad: DataFrame, table: Table) -> DataFrame:
    return bad.select(
        "batch_id",
        F.lit(table.name).alias("table_name"),
        _row_key(table).alias("row_key"),
        "op",
        "position",
        "position_ordinal",
        "generation",
        "committed_at",
        F.col("quarantine_reason").alias("reason"),
        "row_json",
    )


def _row_key(table: Table) -> Column:
    return F.concat_ws("/", *(F.get_json_object("row_json", f"$.{name}") for name in table.key))


def _write(rows: DataFrame, folder: Location) -> None:
    rows.coalesce(1).write.mode("overwrite").parquet(str(folder))


if __name__ == "__main__":
    main()
