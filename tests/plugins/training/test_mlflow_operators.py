"""What goes to MLflow and how one gets there, on MLflow's own store without its server."""

import json
from datetime import date
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from shelfcast.training.frame import freeze
from shelfcast_provider.links import DriftReportLink, GateDecisionLink, MLflowRunLink
from shelfcast_provider.monitoring.log_report_operator import LogReportOperator
from shelfcast_provider.training import mlflow_hook
from shelfcast_provider.training.mlflow_hook import CANDIDATE, CHAMPION, MLflowHook
from shelfcast_provider.training.register_candidate_operator import RegisterCandidateOperator


class TaskInstance:
    """What an operator asks of its task instance."""

    log_url = "http://127.0.0.1:8080/dags/d/runs/r"

    def __init__(self):
        self.left = {}

    def xcom_push(self, *, key, value):
        self.left[key] = value


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def hook(uri, monkeypatch, tmp_path):
    """The hook as the operators make it, on a store instead of a server."""
    connection = {"conn_type": "shelfcast_mlflow", "host": "127.0.0.1", "port": 5000, "login": "me", "password": "x"}
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW", json.dumps(connection))
    made = MLflowHook()
    assert made.url == "http://127.0.0.1:5000"
    made.url = uri
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mlflow_hook, "MLflowHook", lambda *_: made)
    return made


@pytest.fixture
def context():
    return {"run_id": "manual__it's", "ti": TaskInstance()}


@pytest.fixture
def trained(frame, candidate, tmp_path):
    """The folder that a training run leaves."""
    text, rows, metrics = candidate
    manifest = freeze(
        frame, tmp_path, model="demand", cutoff=date(2024, 6, 30), folds=2, horizon_days=28, reason="x", is_forced=False
    )
    parts = tmp_path / "candidate"
    parts.mkdir()
    rows.to_parquet(parts / "fold_forecasts.parquet", index=False)
    (parts / "model.txt").write_text(text)
    (parts / "metrics.json").write_text(json.dumps(metrics.as_dict()))
    about = {"seed": 7, "cutoff": "2024-06-30", "frame_digest": manifest.digest, "reason": "a test"}
    (parts / "training.json").write_text(json.dumps(about))
    return tmp_path


def test_a_candidate_is_registered_once_with_what_it_was_made_of(hook, trained, context):
    registered = [
        RegisterCandidateOperator(task_id="register", model="demand", folder=str(trained)).execute(context)
        for _ in range(2)
    ]
    assert registered[0] == registered[1]
    run_id = registered[0]["mlflow_run_id"]
    assert hook.version("demand", CANDIDATE).run_id == run_id
    assert hook.version("demand", CHAMPION) is None
    run = hook.get_conn().get_run(run_id)
    assert run.data.metrics["wape"] > 0
    assert run.inputs.dataset_inputs[0].dataset.name == "demand_frame"
    assert (
        "Airflow run [manual__it's](http://127.0.0.1:8080/dags/d/runs/r), reason: a test"
        in (run.data.tags["mlflow.note.content"])
    )
    parts = Path(hook.download(run_id, "candidate", str(trained / "again")))
    assert (parts / "model.txt").read_bytes() == (trained / "candidate" / "model.txt").read_bytes()
    assert context["ti"].left[MLflowRunLink.key].endswith(f"/runs/{run_id}")


def test_a_drift_report_is_logged_once_and_linked(hook, context, tmp_path):
    page = tmp_path / "of a day.html"
    page.write_text("<p>steady</p>")
    runs = {LogReportOperator(task_id="report", page=page.as_uri()).execute(context) for _ in range(2)}
    (run_id,) = runs
    assert [file.path for file in hook.get_conn().list_artifacts(run_id)] == ["of a day.html"]
    assert context["ti"].left[DriftReportLink.key].endswith(f"{run_id}/artifacts/of a day.html")


def test_without_a_report_there_is_nothing_to_log(context):
    with pytest.raises(AirflowSkipException, match="no reference"):
        LogReportOperator(task_id="report", page="None").execute(context)
    with pytest.raises(AirflowFailException, match="Clear the drift task"):
        LogReportOperator(task_id="report", page="file:///nowhere/2025-01-01.html").execute(context)


@pytest.mark.parametrize("link", [MLflowRunLink, GateDecisionLink, DriftReportLink])
@pytest.mark.parametrize(("left", "leads_to"), [("http://a/b", "http://a/b"), (None, "")])
def test_a_button_leads_where_the_task_says(monkeypatch, link, left, leads_to):
    asked = []
    monkeypatch.setattr(
        "airflow.sdk.execution_time.xcom.XCom.get_value", lambda *, ti_key, key: asked.append((ti_key, key)) or left
    )
    assert link().get_link(None, ti_key="task") == leads_to
    assert asked == [("task", link.key)]
