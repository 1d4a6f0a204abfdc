"""What goes to MLflow and how one gets there, on MLflow's own store without its server."""

import json
import re
import shutil
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import lightgbm
import mlflow
import numpy as np
import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from mlflow.data.pandas_dataset import from_pandas

from shelfcast.model.candidate import FOLD_FORECASTS
from shelfcast.model.declaration import load
from shelfcast.model.metrics import wape
from shelfcast.training.frame import FRAME, digest
from shelfcast_provider.code_version import code_version
from shelfcast_provider.links import DriftReportLink, GateDecisionLink, MLflowRunLink, ModelCardLink
from shelfcast_provider.monitoring.log_report_operator import LogReportOperator
from shelfcast_provider.registry.mlflow_hook import CANDIDATE, CHAMPION
from shelfcast_provider.registry.register_candidate_operator import RegisterCandidateOperator

FEATURES = load("demand").feature_names

WORKFLOW = "?workflowType=machine_learning"
"""MLflow opens a link without it in its pages of language models."""


@pytest.fixture(scope="module")
def registered(hook, trained, context):
    """The id of the MLflow run of a candidate that was registered, and registered again by a retry."""
    operator = RegisterCandidateOperator(task_id="register", model="demand", folder=str(trained))
    once, again = operator.execute(context), operator.execute(context)
    assert once == again
    return once["mlflow_run_id"]


def artifacts(hook, run_id, folder=None):
    """Paths of all files of a run, without the note that MLflow leaves beside a model when it is loaded."""
    found = []
    for file in hook.get_conn().list_artifacts(run_id, folder):
        found += artifacts(hook, run_id, file.path) if file.is_dir else [file.path]
    return [path for path in found if path != "candidate/registered_model_meta"]


def test_a_candidate_is_registered_once_with_what_it_was_made_of(hook, registered, trained, context, tmp_path):
    assert hook.version("demand", CANDIDATE).run_id == registered
    assert hook.version("demand", CHAMPION) is None
    run = hook.get_conn().get_run(registered)
    assert run.data.metrics["wape"] > 0
    assert (
        "Airflow run [manual__it's](http://127.0.0.1:8080/dags/d/runs/r), reason: a test"
        in (run.data.tags["mlflow.note.content"])
    )
    parts = Path(hook.download(registered, "candidate", str(tmp_path)))
    assert (parts / "model.txt").read_bytes() == (trained / "candidate" / "model.txt").read_bytes()


def test_nothing_that_went_well_is_written_where_airflow_looks_for_errors(hook, registered, tmp_path, capfd):
    with hook.run_for("never_heard_of", "first"):
        mlflow.log_text("a", "a.txt")
    hook.download(registered, "candidate", str(tmp_path))
    assert capfd.readouterr().err == ""


def test_without_a_connection_wandb_gets_nothing(hook, registered, trained):
    assert "wandb_run_url" not in hook.get_conn().get_run(registered).data.tags
    assert not (trained / "wandb").exists()


def test_the_frozen_frame_is_an_input_of_the_run(hook, registered, trained, tmp_path):
    (given,) = hook.get_conn().get_run(registered).inputs.dataset_inputs
    assert given.dataset.name == "demand_frame"
    assert digest(trained / FRAME).startswith(given.dataset.digest)
    assert str(trained / FRAME) in given.dataset.source
    read = from_pandas(pd.read_parquet(trained / FRAME), source=str(trained / FRAME), name="demand_frame").to_dict()
    assert (given.dataset.schema, given.dataset.profile) == (read["schema"], read["profile"])
    assert '"required": false' in given.dataset.schema, "a column without a value is not told from the others"
    assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "training")]
    kept = Path(hook.download(registered, "frame", str(tmp_path)))
    for name in ("frame.json", "frame.parquet.dvc"):
        assert (kept / name).read_bytes() == (trained / name).read_bytes()


def spoil_rows(path):
    """Leaves of a Parquet file what says which columns it has, and none of its rows."""
    content = path.read_bytes()
    begin = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    path.write_bytes(content[:4] + bytes(begin - 4) + content[begin:])
    with pytest.raises(OSError, match="page header"):
        pd.read_parquet(path)


def test_no_row_is_read_on_the_way(hook, register, registered, trained, tmp_path):
    """So a larger shop takes no more memory: neither the frame's rows nor those of the fold forecasts can be read here."""
    folder = shutil.copytree(trained, tmp_path / "trained")
    for path in (folder / FRAME, folder / "candidate" / FOLD_FORECASTS):
        spoil_rows(path)
    run_id = register("unreadable", folder)
    (given,), (usual,) = (hook.get_conn().get_run(run).inputs.dataset_inputs for run in (run_id, registered))
    assert (given.dataset.schema, given.dataset.profile) == (usual.dataset.schema, usual.dataset.profile)
    assert artifacts(hook, run_id) == artifacts(hook, registered)
    assert len(nested_runs(hook, run_id, "fold")) == 2


def test_a_candidate_without_a_report_is_registered_too(hook, register, trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "trained")
    shutil.rmtree(folder / "candidate" / "report")
    run_id = register("plain", folder)
    assert hook.version("plain", CANDIDATE).run_id == run_id
    assert not [path for path in artifacts(hook, run_id) if path.startswith(("plots", "model_card"))]


def test_a_candidate_in_a_bucket_is_registered_like_one_on_a_disk(hook, register, registered, trained, bucket):
    for path in sorted(file for file in trained.rglob("*") if file.is_file()):
        bucket.upload_file(str(path), f"run/{path.relative_to(trained)}")
    run_id = register("far_off", f"s3://{bucket.name}/run")
    assert artifacts(hook, run_id) == artifacts(hook, registered)
    (given,) = hook.get_conn().get_run(run_id).inputs.dataset_inputs
    assert f"s3://{bucket.name}/run/{FRAME}" in given.dataset.source


def nested_runs(hook, registered, tag):
    experiment = hook.get_conn().get_run(registered).info.experiment_id
    found = hook.get_conn().search_runs([experiment], f"tags.`mlflow.parentRunId` = '{registered}'")
    return [run for run in found if tag in run.data.tags]


def test_each_trial_of_a_search_is_a_nested_run_once(hook, registered):
    nested = {run.info.run_name: run for run in nested_runs(hook, registered, "trial")}
    assert sorted(nested) == ["trial 0", "trial 1"]
    assert nested["trial 1"].data.params == {"num_leaves": "31", "learning_rate": "0.05"}
    assert nested["trial 1"].data.metrics == {"loss_of_1_folds": 0.4}
    assert nested["trial 1"].data.tags["is_pruned"] == "True"


def test_each_fold_is_a_nested_run_once(hook, registered, candidate):
    nested = nested_runs(hook, registered, "fold")
    assert sorted(run.info.run_name for run in nested) == ["fold 0, origin 2024-05-13", "fold 1, origin 2024-04-15"]
    for run in nested:
        own = candidate.rows[candidate.rows["fold"] == int(run.data.tags["fold"])]
        assert run.data.metrics["wape"] == wape(own["actual"].to_numpy(), own["mean"].to_numpy())
        assert run.data.metrics["rows"] == len(own)
        assert run.info.status == "FINISHED"
        assert len(hook.get_conn().get_metric_history(run.info.run_id, "wape")) == 1


def test_pictures_and_the_card_are_among_the_artifacts(hook, registered, context, tmp_path):
    found = artifacts(hook, registered)
    pictures = ("calibration", "error_by_horizon", "forecast_against_actual", "importance", "shap_summary")
    assert {f"plots/{name}.png" for name in pictures} <= set(found)
    assert {"model_card.md", "model_card.html", "shap_summary.csv"} <= set(found)
    assert not [path for path in found if path.startswith("candidate/report")], "it is there twice"
    page = Path(hook.download(registered, "model_card.html", str(tmp_path))).read_text()
    assert "Fairness across groups of stores" in page
    assert page.count("data:image/png") == len(pictures)
    left = context["ti"].left
    assert left[MLflowRunLink.key].endswith(f"/runs/{registered}{WORKFLOW}")
    assert left[ModelCardLink.key].endswith(f"/runs/{registered}/artifacts/model_card.html{WORKFLOW}")
    assert left[GateDecisionLink.key].endswith(f"/runs/{registered}/artifacts/gate_decision.json{WORKFLOW}")


def test_a_candidate_is_loaded_from_the_registry_without_a_pickle(hook, registered, candidate):
    assert not [path for path in artifacts(hook, registered) if path.endswith((".pkl", ".pickle", ".joblib"))]
    loaded = mlflow.lightgbm.load_model("models:/demand@candidate")
    assert loaded.feature_name() == list(FEATURES)
    rows = np.random.default_rng(1).normal(size=(9, len(FEATURES)))
    wanted = lightgbm.Booster(model_str=candidate.model.mean_text).predict(rows)
    np.testing.assert_array_equal(loaded.predict(rows), wanted)
    checked = mlflow.pyfunc.load_model("models:/demand@candidate")
    assert checked.metadata.get_input_schema().input_names() == list(FEATURES)
    named = pd.DataFrame(rows, columns=list(FEATURES))
    np.testing.assert_array_equal(checked.predict(named), wanted)
    with pytest.raises(mlflow.exceptions.MlflowException, match="log_baseline"):
        checked.predict(named.drop(columns="log_baseline"))


def test_a_run_names_the_code_that_made_it(hook, registered, monkeypatch, tmp_path):
    named = hook.get_conn().get_run(registered).data.tags["code_version"]
    assert named == code_version()
    assert re.fullmatch(r"[0-9a-f]{40}\+?|shelfcast \S+", named)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_version() == f"shelfcast {version('shelfcast')}"


NOTEBOOK = Path(__file__).resolve().parents[3] / "include" / "notebooks" / "reproduce_a_run.ipynb"


def run_notebook(uri, run_id, monkeypatch):
    """Runs the notebook's code, cell by cell in one namespace as a kernel does; returns the namespace."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("SHELFCAST_RUN_ID", run_id)
    names = {}
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    return names


def test_the_notebook_finds_a_runs_error_again(hook, uri, registered, monkeypatch, capsys):
    names = run_notebook(uri, registered, monkeypatch)
    assert names["reproduced"] == pytest.approx(hook.get_conn().get_run(registered).data.metrics["wape"], rel=1e-12)
    assert len(names["folds"]) == 2
    assert capsys.readouterr().out.startswith("WAPE ")
    assert run_notebook(uri, "", monkeypatch)["run_id"] == registered


def test_the_notebook_stops_at_a_run_whose_forecasts_were_changed(
    hook, uri, registered, candidate, monkeypatch, tmp_path
):
    copy = hook.get_conn().create_run(hook.get_conn().get_run(registered).info.experiment_id).info.run_id
    parts = shutil.copytree(hook.download(registered, "candidate", str(tmp_path / "of")), tmp_path / "changed")
    rows = pd.read_parquet(parts / "fold_forecasts.parquet")
    rows.assign(mean=rows["mean"] * 1.01).to_parquet(parts / "fold_forecasts.parquet")
    hook.get_conn().log_artifacts(copy, str(parts), "candidate")
    with pytest.raises(AssertionError):
        run_notebook(uri, copy, monkeypatch)


def test_the_notebook_is_kept_without_what_it_printed():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def report(
    context, *, business_date="2025-01-01", page=None, judged=("price_level", "zero_share"), drifted=(), scores=None
):
    """What the tasks before it return, logged."""
    drift = {"business_date": business_date, "judged": judged, "drifted": drifted, "page": page}
    day = date.fromisoformat(business_date)
    scored = {"wape": 0.2, "bias": -0.03, "strongest_simple_wape": 0.25}
    found = [
        {"vintage": str(day - timedelta(days=7)), **scored},
        {"vintage": str(day - timedelta(days=1)), **dict.fromkeys(scored)},
    ]
    error = {"business_date": business_date, "scores": found if scores is None else scores}
    return LogReportOperator(task_id="report", drift=drift, error=error).execute(context)


def test_a_drift_report_is_logged_once_and_linked(hook, context, tmp_path):
    page = tmp_path / "of a day.html"
    page.write_text("<p>steady</p>")
    (run_id,) = {report(context, page=page.as_uri()) for _ in range(2)}
    assert [file.path for file in hook.get_conn().list_artifacts(run_id)] == ["of a day.html"]
    assert context["ti"].left[DriftReportLink.key].endswith(f"{run_id}/artifacts/of a day.html{WORKFLOW}")


def test_without_a_report_there_is_nothing_to_log(context):
    with pytest.raises(AirflowSkipException, match="no reference"):
        report(context, judged=[], scores=[])
    with pytest.raises(AirflowFailException, match="Clear the drift task"):
        report(context, page="file:///nowhere/2025-01-01.html")


def test_before_there_is_a_page_the_errors_are_logged_and_the_button_leads_to_the_run(hook, context):
    run_id = report({**context, "run_id": "without a page"}, judged=[])
    assert "drifted_share" not in hook.get_conn().get_run(run_id).data.metrics
    assert context["ti"].left[DriftReportLink.key].endswith(f"/runs/{run_id}{WORKFLOW}")


def test_each_date_is_one_point_of_a_curve_however_often_it_is_logged(hook, context):
    for day, drifted in (("2025-07-04", []), ("2025-07-03", ["price_level"]), ("2025-07-04", [])):
        run_id = report({**context, "run_id": day}, business_date=day, drifted=drifted)
    of_date = hook.get_conn().get_run(run_id).data
    assert of_date.tags["business_date"] == "2025-07-04"
    assert of_date.metrics == {
        "drifted_share": 0.0, "wape_7_days": 0.2, "bias_7_days": -0.03, "strongest_simple_wape_7_days": 0.25,
    }  # fmt: skip
    with hook.run_for("monitoring", "all business dates") as curves:
        points = hook.get_conn().get_metric_history(curves, "drifted_share")
    days = {date(1970, 1, 1) + timedelta(days=point.step): point.value for point in points}
    assert len([point for point in points if point.step >= (date(2025, 7, 3) - date(1970, 1, 1)).days]) == 2
    assert (days[date(2025, 7, 3)], days[date(2025, 7, 4)]) == (0.5, 0.0)
    assert {datetime.fromtimestamp(point.timestamp / 1000, UTC).date() for point in points} == set(days)


@pytest.mark.parametrize("link", [MLflowRunLink, ModelCardLink, GateDecisionLink, DriftReportLink])
@pytest.mark.parametrize(("left", "leads_to"), [("http://a/b", "http://a/b"), (None, "")])
def test_a_button_leads_where_the_task_says(monkeypatch, link, left, leads_to):
    asked = []
    monkeypatch.setattr(
        "airflow.sdk.execution_time.xcom.XCom.get_value", lambda *, ti_key, key: asked.append((ti_key, key)) or left
    )
    assert link().get_link(None, ti_key="task") == leads_to
    assert asked == [("task", link.key)]
