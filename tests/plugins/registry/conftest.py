"""A training run's folder, and the hook of MLflow's own store without its server."""

import json
from dataclasses import replace
from datetime import date

import pytest
from small_world import freeze

from shelfcast.model.candidate import TrainingRecord
from shelfcast.training.evaluation import by_fold
from shelfcast.training.frame import FrozenFrame
from shelfcast.training.report.write_report import write_report
from shelfcast_provider.registry import mlflow_hook
from shelfcast_provider.registry.mlflow_hook import MLflowHook
from shelfcast_provider.registry.register_candidate_operator import RegisterCandidateOperator


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


@pytest.fixture(scope="module")
def hook(uri, tmp_path_factory):
    """The hook as the operators make it, on a store instead of a server."""
    connection = {"conn_type": "shelfcast_mlflow", "host": "127.0.0.1", "port": 5000, "login": "me", "password": "x"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_MLFLOW", json.dumps(connection))
        made = MLflowHook()
        assert made.url == "http://127.0.0.1:5000"
        made.url = uri
        patch.chdir(tmp_path_factory.mktemp("artifacts"))
        patch.setattr(mlflow_hook, "MLflowHook", lambda *_: made)
        yield made


def context_of(run_id):
    return {"run_id": run_id, "ti": TaskInstance()}


@pytest.fixture(scope="module")
def context():
    return context_of("manual__it's")


@pytest.fixture
def register(hook):
    """A function that registers a training run's folder as a candidate of a model of its own; answers the run's id."""

    def registered(model, folder):
        operator = RegisterCandidateOperator(task_id="register", model=model, folder=str(folder))
        return operator.execute(context_of(model))["mlflow_run_id"]

    return registered


TRIALS = [
    {"number": 0, "parameters": {"num_leaves": 63, "learning_rate": 0.06}, "losses": [0.3, 0.31], "is_pruned": False},
    {"number": 1, "parameters": {"num_leaves": 31, "learning_rate": 0.05}, "losses": [0.4], "is_pruned": True},
]


@pytest.fixture(scope="module")
def trained(frame, demand, candidate, tmp_path_factory):
    """The folder that a training run leaves."""
    tmp_path = tmp_path_factory.mktemp("trained")
    about = {"folds": 2, "horizon_days": 28, "reason": "x", "is_forced": False}
    manifest = freeze(frame, tmp_path, model="demand", cutoff=date(2024, 6, 30), **about)
    parts = tmp_path / "candidate"
    record = TrainingRecord(
        model="demand",
        seed=7,
        cutoff=date(2024, 6, 30),
        frame_digest=manifest.digest,
        reason="a test",
        horizon_days=28,
    )
    made = replace(candidate.candidate, record=record, folds=by_fold(candidate.rows), trials=TRIALS)
    made.write(parts, fold_forecasts=candidate.rows)
    write_report(FrozenFrame(tmp_path, manifest, demand), parts, code_version="abc123")
    return tmp_path
