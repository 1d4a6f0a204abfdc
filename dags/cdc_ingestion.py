"""Takes the shop's changes into the cold store, each once in effect.

### Purpose
Reads the shop's change log up to its end at the start of the run, lands every change, checks the batch and merges it
into the cold store. Announces each business date that the shop has closed since, and again those that got no run.

### Reads → writes
`sales.*` in the shop's database → change files and the Delta change log in the landing area → `RAW`, `QUARANTINE`
and `OPERATIONS.BATCHES` in the cold store. Emits `sales_changes`, one partition a completed business date.

### Re-running safely
Clear any task at any time. Changes are ordered by the source's log position and merged with it, so reading some
twice changes nothing. A snapshot that was cut off is taken again from the start and its rows never count. A replay of
the quarantine leaves there what is still bad, and newer versions win over what it merges. A date that was announced
while `feature_views` was paused, or whose run failed, is announced again by the next run that loads changes.

### When it fails
`drain` with *cannot be reached*: see that the shop's database answers, then clear the task. *Changes may be missing*,
*lost*, *truncated*, *REPLICA IDENTITY*: the change log does not hold what is needed; do as the error says, then take a new
snapshot. *Lacks* a column: give the shop's column its name back, then clear the task. `land` with *had no column*: rows
were changed while the column was away; take a new snapshot. `load` with *end with a bad row*:
`QUARANTINE.BAD_ROWS` holds the rows and their reasons under this batch's name. Mend them in the shop, then clear the
run or wait for the next one, which brings the same changes and the mended rows; what was mended no longer counts.
`land` with *not what was read from the shop*: the log lacks changes that a drain wrote; the error, in the task's log,
names both numbers and the folder to delete before the task is cleared.
`check` with *is not what a batch must be*: rows passed one by one and are wrong together, which no mending in the shop
cures. Open the report that the error names, mend the landing job, clear `land`; nothing was loaded and nothing is lost.
A mail *rows in quarantine* is no failure: more than 1 % of a batch's rows were bad one by one, and the rest is loaded.
Rows that a row check refused by mistake: correct the check, then trigger this DAG with `replay_quarantine`.
"""

from typing import Any

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable, Param, task
from airflow.sdk.exceptions import AirflowSkipException

from shelfcast.ingestion.spark_job import landing_job
from shelfcast.settings import Settings
from shelfcast_provider.assets import SALES_CHANGES
from shelfcast_provider.cold_store.announcement import announce_in_order, due_dates
from shelfcast_provider.cold_store.load_batch_operator import LastDrainOperator, LoadBatchOperator
from shelfcast_provider.cold_store.replay_quarantine_operator import ReplayQuarantineOperator
from shelfcast_provider.ingestion.check_batch_operator import CheckBatchOperator
from shelfcast_provider.ingestion.drain_operator import DrainChangeLogOperator
from shelfcast_provider.schedules import COLD_STORE_WRITERS, dag_settings
from shelfcast_provider.sources.business_day_trigger import BusinessDayClosedTrigger
from shelfcast_provider.spark.spark_job_operator import SparkJobOperator

SETTINGS = Settings.from_environment()
DAY_CLOSED = Asset("shop_day_closed", watchers=[AssetWatcher(name="day_closed", trigger=BusinessDayClosedTrigger())])
NIGHTLY = CronTriggerTimetable("30 4 * * *", timezone="UTC")
BATCH_ID = "{{ run_id | replace(':', '') | replace('+', '_') }}"
EXPORT = str(SETTINGS.artifacts / "exports" / BATCH_ID)
SNAPSHOT = Param(False, type="boolean", title="Take a new snapshot", description="Read all tables of the shop anew.")
REPLAY = Param(
    False,
    type="boolean",
    title="Replay the quarantine",
    description="Check its rows anew and merge those that pass now.",
)

with DAG(
    "cdc_ingestion",
    schedule=AssetOrTimeSchedule(assets=[DAY_CLOSED], timetable=NIGHTLY),
    params={"take_snapshot": SNAPSHOT, "replay_quarantine": REPLAY},
    **dag_settings(__doc__, tags=["ingestion"]),
):
    loaded = LastDrainOperator(task_id="loaded", pool=COLD_STORE_WRITERS)
    drain = DrainChangeLogOperator(task_id="drain", loaded=loaded.output, take_snapshot="{{ params.take_snapshot }}")
    land = SparkJobOperator(
        task_id="land",
        job=landing_job(
            landing=str(SETTINGS.landing),
            generation="{{ ti.xcom_pull('drain').generation }}",
            after_drain="{{ ti.xcom_pull('drain').after_drain }}",
            batch_id=BATCH_ID,
            export=EXPORT,
        ),
    )
    check = CheckBatchOperator(task_id="check", export=EXPORT)
    load = LoadBatchOperator(task_id="load", export=EXPORT, pool=COLD_STORE_WRITERS)
    replay = ReplayQuarantineOperator(task_id="replay", pool=COLD_STORE_WRITERS)

    @task(outlets=[SALES_CHANGES])
    def announce(batch: dict[str, Any], *, outlet_events: Any, ti: Any) -> list[str]:
        """Emits one partition for each business date that is now complete, or was and has no run."""
        dates = due_dates(batch["business_dates"], ti)
        announce_in_order(outlet_events[SALES_CHANGES], dates)
        return dates

    @task(trigger_rule="none_failed")  # also when the shop has no change to load
    def replay_asked(*, params: Any) -> None:
        """Skips the replay unless someone asked for it; without the writers' one slot, which others wait for."""
        if not params["replay_quarantine"]:
            raise AirflowSkipException("Nobody asked for a replay: trigger the DAG with replay_quarantine.")

    loaded >> drain >> land >> check >> load >> announce(load.output)
    load >> replay_asked() >> replay
