"""Forecasts every active series and keeps the forecasts in the ledger.

### Purpose
Forecasts the next 28 days of every active series with the release that serves, with quantiles, from the same vectors
and by the same code as the forecaster. Each active series gets a forecast or a reason.

### Reads → writes
The hot store's generation of the business date and the current release → `FORECASTS.LEDGER`, one vintage a business
date. When several dates close together the hot store may serve another one: the same vectors are then packed from
`FEATURES`, and the ledger names `cold_store` as their generation. Emits `demand_forecasts` with the business date as partition.

### Re-running safely
A vintage is swapped in whole, so a second run with the same release writes the same rows. After a new release a
cleared run replaces the vintage of its own date only, and not even that if the release was trained on later days. A date
that has no vintage gets one even then; its `release_cutoff` is after its business date, and nothing scores it.

### When it fails
*Skipped, no release yet*: nothing is wrong, the first release is still to come. *Skipped, the vintage stays*: the
release knows later days, and what was forecast at the time is kept. *Active series without a row*: the
message names them; clear `feature_cache_refresh` of this date, then this run.
"""

from airflow.sdk import DAG

from shelfcast_provider.assets import DEMAND_FEATURE_CACHE, DEMAND_FORECASTS
from shelfcast_provider.business_date import BUSINESS_DATE
from shelfcast_provider.schedules import COLD_STORE_WRITERS, daily_settings, on_business_date
from shelfcast_provider.serving.forecast_operator import ForecastActiveSeriesOperator

with DAG(
    "demand_forecast", schedule=on_business_date(DEMAND_FEATURE_CACHE), **daily_settings(__doc__, tags=["serving"])
):
    ForecastActiveSeriesOperator(
        task_id="forecast",
        model="demand",
        business_date=BUSINESS_DATE,
        pool=COLD_STORE_WRITERS,
        outlets=[DEMAND_FORECASTS],
    )
