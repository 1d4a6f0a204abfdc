"""Builds the features of one business date, right on both clocks.

### Purpose
Computes everything the models may know at the close of a business date, from the one definition of each feature in
`sql/cold_store/`. The first run also builds all earlier dates of the history.

### Reads → writes
`RAW` → `FEATURES.DAILY_SALES`, `FEATURES.DEMAND`, `FEATURES.DEMAND_AHEAD` and `FEATURES.ORDER_TOTAL` in the cold
store. Emits `demand_features` with the business date as partition.

### Re-running safely
A partition is computed anew from what was known at that date's close and swapped in whole: the same rows come out.
Emitting an old date again rebuilds that date, and so does a manual run with that date in its form. A date that is
closed behind a later one rebuilds that one too.

### When it fails
*Post-condition*: the message names the table, the date and what was expected. Look at the batch of that date in
`OPERATIONS.BATCHES`; a missing business date is loaded by clearing `cdc_ingestion`, then this run. *Fewer days of
series*: a rebuild would forget sales that were known, and nothing was replaced; `FEATURES.DAILY_SALES` and
`FEATURES.DEMAND` may be dropped, for this run makes both anew from `RAW`.
"""

from airflow.sdk import DAG

from shelfcast_provider.assets import DEMAND_FEATURES, SALES_CHANGES
from shelfcast_provider.business_date import BUSINESS_DATE
from shelfcast_provider.cold_store.build_features_operator import BuildFeaturesOperator
from shelfcast_provider.schedules import COLD_STORE_WRITERS, daily_settings, on_business_date

with DAG("feature_views", schedule=on_business_date(SALES_CHANGES), **daily_settings(__doc__, tags=["cold_store"])):
    BuildFeaturesOperator(
        task_id="build", business_date=BUSINESS_DATE, pool=COLD_STORE_WRITERS, outlets=[DEMAND_FEATURES]
    )
