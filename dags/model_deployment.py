"""Releases a candidate if the gate lets it pass.

### Purpose
The gate asks one question and decides with reasons: is the first model better than the strongest simple method, is a new
recipe better than the champion's, or is the refresh of the champion's recipe sound? A candidate that passes becomes a
release bundle, is tried in the forecaster's own process, is pointed at, probed, and taken back by itself if a probe fails.

### Reads → writes
The alias `candidate` in MLflow, `FORECASTS.LEDGER`, the vectors of its cutoff in `FEATURES` → `OPERATIONS.DECISIONS`, a
bundle under `artifacts/releases/<model>`, its pointer, the alias `champion`, `OPERATIONS.RELEASES`. Emits
`<model>_release`.

### Re-running safely
The same candidate gives the same decision, the same bundle and the same release id; pointing at what is pointed at
does nothing. A run that was killed between two steps goes on with the next.

### When it fails
*Skipped, the gate holds*: read the reasons in the task's log or in MLflow (`gate_decision.json`); to release it all
the same, trigger `weekly_retraining_<model>` with *force*. *Trained for 7 of 28 days* is held in any case: leave
*Horizon* as it is. `bundle`, *no sound model*: the candidate's file is damaged; train again. `smoke` or `swap`: the
release before serves on; the message, and `OPERATIONS.RELEASES`, say what the forecaster answered. *Does not say which
release serves*: mend `current.json` as the message says, then clear the task.
"""

from airflow.sdk import DAG

from shelfcast.model import declaration
from shelfcast_provider.assets import candidate, release
from shelfcast_provider.deployment.build_bundle_operator import BuildBundleOperator
from shelfcast_provider.deployment.promote_operator import PromoteOperator
from shelfcast_provider.deployment.smoke_test_operator import SmokeTestOperator
from shelfcast_provider.deployment.swap_release_operator import SwapReleaseOperator
from shelfcast_provider.registry.gate_operator import GateOperator
from shelfcast_provider.schedules import COLD_STORE_WRITERS, dag_settings

RELEASE_ID = "{{ ti.xcom_pull('bundle').release_id }}"
REASON = "{{ ti.xcom_pull('gate').reason }}"
CANDIDATE = {
    "version": "{{ ti.xcom_pull('gate').version }}",
    "mlflow_run_id": "{{ ti.xcom_pull('gate').mlflow_run_id }}",
}

for model in declaration.names():
    with DAG(
        f"model_deployment_{model}", schedule=[candidate(model)], **dag_settings(__doc__, tags=["deployment", model])
    ):
        of_model = {"model": model, "release_id": RELEASE_ID}
        recorded = {**of_model, **CANDIDATE, "pool": COLD_STORE_WRITERS}

        gate = GateOperator(task_id="gate", model=model, pool=COLD_STORE_WRITERS)
        bundle = BuildBundleOperator(task_id="bundle", model=model, mlflow_run_id=CANDIDATE["mlflow_run_id"])
        smoke = SmokeTestOperator(task_id="smoke", **of_model)
        swap = SwapReleaseOperator(task_id="swap", **recorded)
        promote = PromoteOperator(task_id="promote", reason=REASON, outlets=[release(model)], **recorded)

        gate >> bundle >> smoke >> swap >> promote
