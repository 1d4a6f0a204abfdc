"""Brings the newest features into the hot store as one generation.

### Purpose
Packs the newest features of each series and each customer into one vector, writes them as a new generation,
verifies it against its manifest and moves the pointer. Then compares the hot store with the cold one.

### Reads → writes
`FEATURES.DEMAND`, `FEATURES.DEMAND_AHEAD`, `FEATURES.ORDER_TOTAL` → Redis. Emits `demand_feature_cache` with the
business date as partition.

### Re-running safely
Each run writes a generation of its own and readers follow the pointer, so a run that was cut off is invisible. The
generation before stays until the next one is in place. A second run of the date that is served replaces it, with what
was restated since. A run of an older date does not take the place of a newer one: it writes and compares nothing, and
lets `demand_forecast` of its date run. The hot store can be rebuilt at any time by clearing the run of the newest date.

### When it fails
*Superseded*, in the log, is no failure; to go back to an older date all the same, delete the key that the message names
and clear this run. `publish`: the hot store does not answer, is out of memory, or another run published meanwhile;
readers keep the generation they have. `parity`: the message names entity, feature and
both values; clear the whole run, and `feature_views` of the same date if it repeats.
"""

from airflow.sdk import DAG

from shelfcast.model import declaration
from shelfcast_provider.assets import DEMAND_FEATURE_CACHE, DEMAND_FEATURES
from shelfcast_provider.business_date import BUSINESS_DATE
from shelfcast_provider.hot_store.parity_operator import ParityOperator
from shelfcast_provider.hot_store.publish_generation_operator import PublishGenerationOperator
from shelfcast_provider.schedules import daily_settings, on_business_date

with DAG(
    "feature_cache_refresh", schedule=on_business_date(DEMAND_FEATURES), **daily_settings(__doc__, tags=["hot_store"])
):
    parity = ParityOperator(
        task_id="parity", models=declaration.names(), business_date=BUSINESS_DATE, outlets=[DEMAND_FEATURE_CACHE]
    )
    for model in declaration.names():
        publish = PublishGenerationOperator(task_id=f"publish_{model}", model=model, business_date=BUSINESS_DATE)
        publish >> parity
