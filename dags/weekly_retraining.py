"""Trains a candidate on everything known at the cutoff.

### Purpose
Freezes the training frame, trains the model on Spark over rolling-origin folds, measures it against the strongest
simple method and, if the recipe has changed, the champion's recipe, explains it, and registers it as the candidate. Runs
every Monday, when the governor asks, or by hand with params.

### Reads → writes
`freeze`: `FEATURES` in the cold store → a frozen frame with its digest. `train`: the frame → the candidate with pictures
and model card, below the frame's folder. `register` uploads them → an MLflow run, the model's alias `candidate`. Emits
`<model>_candidate`.

### Re-running safely
A frame that exists for this run is used again, not made again; the MLflow run is found by the Airflow run's id; the
same frame and seed give the same model. A job that a killed task left behind is waited for; one that died is begun again
behind the folds that it had finished. A second run for the same decision of the governor is not started.

### When it fails
*Nothing to train on yet* is a skip: the history is too short for the folds. *Frame changed*: the frozen file was
edited; remove it and clear the run. `train`: read the end of its log; *too few slots* names how many are needed.
`register`: a Weights & Biases that does not answer, if there is one, is a warning only.
"""

from airflow.sdk import DAG, CronTriggerTimetable, Param

from shelfcast.model import declaration
from shelfcast.settings import Settings
from shelfcast.training.spark_job import training_job
from shelfcast_provider.assets import candidate
from shelfcast_provider.code_version import code_version
from shelfcast_provider.registry.register_candidate_operator import RegisterCandidateOperator
from shelfcast_provider.schedules import COLD_STORE_WRITERS, dag_settings
from shelfcast_provider.spark.spark_job_operator import SparkJobOperator
from shelfcast_provider.training.freeze_frame_operator import FreezeFrameOperator

MONDAY = CronTriggerTimetable("0 3 * * MON", timezone="UTC")
SETTINGS = Settings.from_environment()
RELEASES = SETTINGS.artifacts / "releases"
FOLDER = "{{ ti.xcom_pull('freeze').folder }}"


def params(horizon_days: int | None, folds: int) -> dict[str, Param]:
    """The trigger form; Airflow refuses values outside it, in the UI and by REST."""
    last_day = {"title": "Cutoff", "description": "Last day to learn from. Empty: the latest complete business date."}
    why = {"title": "Reason", "description": "Why this run: kept with the candidate."}
    tried = {
        "title": "Trials",
        "description": "Of a search for LightGBM's parameters, on three origins older than the folds. 0: as declared.",
    }
    forced = {"title": "Force", "description": "Release it even if the gate holds it back; the decision says so."}
    form = {
        "cutoff": Param(None, type=["null", "string"], format="date", **last_day),
        "folds": Param(folds, type="integer", minimum=1, maximum=12, title="Folds", description="Rolling origins."),
        "trials": Param(0, type="integer", minimum=0, maximum=200, **tried),
        "reason": Param("weekly schedule", type="string", minLength=3, maxLength=500, **why),
        "force": Param(False, type="boolean", **forced),
    }
    if horizon_days:
        days = {"title": "Horizon", "description": "Fewer than all are for comparison: no release."}
        form["horizon_days"] = Param(horizon_days, type="integer", minimum=1, maximum=horizon_days, **days)
    return form


for model in declaration.names():
    spec = declaration.load(model)
    with DAG(
        f"weekly_retraining_{model}",
        schedule=MONDAY,
        params=params(spec.horizon_days, spec.folds),
        user_defined_macros={"code_version": code_version},
        **dag_settings(__doc__, tags=["training", model]),
    ):
        freeze = FreezeFrameOperator(task_id="freeze", model=model, pool=COLD_STORE_WRITERS)
        train = SparkJobOperator(
            task_id="train",
            job=training_job(frame=FOLDER, releases=str(RELEASES / model), code_version="{{ code_version() }}"),
            connection_id=SETTINGS.training_connection,
        )
        register = RegisterCandidateOperator(task_id="register", model=model, folder=FOLDER, outlets=[candidate(model)])

        freeze >> train >> register
