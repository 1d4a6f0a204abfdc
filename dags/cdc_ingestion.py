"""Takes the shop's changes into the cold store, each once in effect.

### Purpose
Reads the shop's change log up to its end at the start of the run, lands every change, checks the batch and merges it
into the cold store. Announces each business date that the shop has closed since.

### Reads → writes
`sales.*` in the shop's database → change files and the Delta change log in the landing area → `RAW`, `QUARANTINE`
and `OPERATIONS.BATCHES` in the cold store. Emits `sales_changes`, one partition a completed business date.

### Re-running safely
Clear any task at any time. Changes are ordered by the source's log position and merged with it, so reading some
twice changes nothing. A snapshot that was cut off is taken again from the start and its rows never count.

### When it fails
`drain` with *cannot be reached*: see that the shop's database answers, then clear the task. *Changes may be missing*:
the replication slot is gone; follow the text of the error to take a new snapshot. `check` or `load` with *refused*:
open `QUARANTINE.BAD_ROWS` for this batch, mend the rows in the shop, clear the run.
"""

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable, task
from shelfcast_provider.ingestion.check_batch_operator import CheckBatchOperator
from shelfcast_provider.ingestion.drain_operator import DrainChangeLogOperator
from shelfcast_provider.ingestion.load_batch_operator import LoadBatchOperator

from shelfcast.settings import Settings
from shelfcast_provider.assets import SALES_CHANGES
from shelfcast_provider.schedules import COLD_STORE_WRITERS, dag_settings
from shelfcast_provider.sources.business_day_trigger import BusinessDayClosedTrigger
from shelfcast_provider.spark_job_operator import SparkJobOperator

DAY_CLOSED = Asset(
    "shop_day_closed", watchers=[AssetWatcher(name="business_day_closed", trigger=BusinessDayClosedTrigger())]
)
NIGHTLY = CronTriggerTimetable("30 4 * * *", timezone="UTC")
SETTINGS = Settings.from_environment()

with DAG(
    "cdc_ingestion", schedule=AssetOrTimeSchedule(assets=[DAY_CLOSED], timetable=NIGHTLY), **dag_settings(__doc__)
):
    drain = DrainChangeLogOperator(task_id="drain")
    land = SparkJobOperator(task_id="land", job="ingestion/landing_job", arguments=[])
    check = CheckBatchOperator(task_id="check")
    load = LoadBatchOperator(task_id="load", pool=COLD_STORE_WRITERS)

    @task(outlets=[SALES_CHANGES])
    def announce(dates: list[str], *, outlet_events) -> list[str]:
        """Emits one partition for each business date that is now complete."""
        outlet_events[SALES_CHANGES].add_partitions(dates)
        return dates

    drain >> land >> check >> load >> announce(load.output["business_dates"])
