"""Watches the inputs and the real error, and asks for a retraining when both say so.

### Purpose
Tests whether the newest features left their reference, scores past forecasts against what was sold, and lets the
governor decide. At the third confirmed window it starts one `weekly_retraining_demand` run for that cause.

### Reads → writes
`FEATURES.DEMAND`, `FORECASTS.LEDGER`, `FEATURES.DAILY_SALES` → `FORECASTS.SCORES`, `OPERATIONS.DECISIONS` and an
Evidently report. The task `report` logs the page and the date's metrics to MLflow and links there; the run *all business
dates* has them as curves. Emits `drift_report` with the business date as partition.

### Re-running safely
Scores and decisions are keyed by business date and replaced. The retraining run's id is the decision's id, so a
decision that is made twice starts one run.

### When it fails
`realised_error` names a vintage without actuals: look at `feature_views` of that date. A decision *hold* is not a
failure; its reason is in `OPERATIONS.DECISIONS` and in the task's result.
"""

from airflow.sdk import DAG

from shelfcast_provider.assets import DEMAND_FORECASTS, DRIFT_REPORT, SALES_CHANGES
from shelfcast_provider.business_date import BUSINESS_DATE
from shelfcast_provider.monitoring.drift_check_operator import DriftCheckOperator
from shelfcast_provider.monitoring.log_report_operator import LogReportOperator
from shelfcast_provider.monitoring.realised_error_operator import RealisedErrorOperator
from shelfcast_provider.retraining.governor_operator import GovernorOperator
from shelfcast_provider.retraining.retraining_trigger_operator import RetrainingTriggerOperator
from shelfcast_provider.schedules import COLD_STORE_WRITERS, daily_settings, on_business_date

with DAG(
    "drift_monitoring",
    schedule=on_business_date(DEMAND_FORECASTS & SALES_CHANGES),
    **daily_settings(__doc__, tags=["monitoring"]),
):
    drift = DriftCheckOperator(
        task_id="drift", business_date=BUSINESS_DATE, pool=COLD_STORE_WRITERS, outlets=[DRIFT_REPORT]
    )
    error = RealisedErrorOperator(task_id="realised_error", business_date=BUSINESS_DATE, pool=COLD_STORE_WRITERS)
    LogReportOperator(task_id="report", drift=drift.output, error=error.output)
    governor = GovernorOperator(
        task_id="governor", model="demand", business_date=BUSINESS_DATE, pool=COLD_STORE_WRITERS
    )
    retraining = RetrainingTriggerOperator(task_id="request_retraining", decision=governor.output)

    [drift, error] >> governor >> retraining
