"""The gate's decision about a candidate, kept in the shipped fake of the cold store and told to MLflow."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowSkipException
from served_world import cold_store

from shelfcast.model.candidate import Candidate, TrainingRecord
from shelfcast_provider.links import GateDecisionLink, MLflowRunLink, ModelCardLink
from shelfcast_provider.registry import mlflow_hook
from shelfcast_provider.registry.gate_operator import GateOperator

__all__ = ["cold_store"]


class Registry:
    """MLflow as the gate uses it: one candidate, its files, and what was said of it."""

    def __init__(self, folder):
        self.folder = folder
        self.candidate = SimpleNamespace(run_id="abc", version="3")
        self.tags, self.logged, self.descriptions, self.metrics = {}, {}, {}, {}

    def version(self, model, alias):
        assert (model, alias) == ("demand", "candidate")
        return self.candidate

    def download(self, run_id, path, folder):
        assert (run_id, path) == ("abc", "candidate")
        return str(shutil.copytree(self.folder, Path(folder) / path))

    def get_conn(self):
        return self

    def set_model_version_tag(self, model, version, name, value):
        self.tags[model, version, name] = value

    def update_model_version(self, model, version, *, description):
        self.descriptions[model, version] = description

    def log_metric(self, run_id, name, value):
        self.metrics[run_id, name] = value

    def log_dict(self, run_id, details, name):
        self.logged[run_id, name] = details

    def run_url(self, run_id):
        return f"http://mlflow/{run_id}"

    def artifact_url(self, run_id, path):
        return f"http://mlflow/{run_id}/{path}"


@pytest.fixture
def registry(tmp_path, monkeypatch, candidate):
    made = Registry(tmp_path / "candidate")
    made.model = candidate.model
    monkeypatch.setattr(mlflow_hook, "MLflowHook", lambda *_: made)
    register(made)
    return made


def register(registry, *, skill=0.7, **about):
    """A candidate whose errors are `skill` times those of its reference."""
    rng = np.random.default_rng(1)
    actual = rng.gamma(5, 4, 4000)
    mean, other = actual + rng.normal(0, 4 * skill, 4000), actual + rng.normal(0, 4, 4000)
    rows = pd.DataFrame({"store_id": rng.integers(0, 20, 4000), "actual": actual, "mean": mean})
    rows = rows.assign(strongest_simple=other, champion=np.nan, fold=np.arange(4000) % 6, horizon_days=14)
    rows = rows.assign(sales_date=np.datetime64("2025-01-13") + 28 * (5 - np.arange(4000) % 6) + np.arange(4000) % 28)
    rows = rows.assign(q05=mean - 1.645 * 4 * skill, q95=mean + 1.645 * 4 * skill)
    record = TrainingRecord.model_validate({"model": "demand", "cutoff": "2025-06-30", "horizon_days": 28} | about)
    made = Candidate(model=registry.model, record=record, metrics={"strongest_simple": "weekday_mean"})
    made.write(registry.folder, fold_forecasts=rows)


def gate():
    """The operator's answer, and what it left in XCom."""
    left = {}
    task_instance = SimpleNamespace(xcom_push=lambda *, key, value: left.update({key: value}))
    return GateOperator(task_id="gate", model="demand").execute({"ti": task_instance}), left


def kept(store):
    columns = "decision_id, kind, model, business_date::VARCHAR, outcome, reason"
    return store.connection.execute(f"SELECT {columns} FROM OPERATIONS.DECISIONS").fetchall()


def test_a_better_candidate_is_released_and_the_decision_is_kept_once(cold_store, registry):
    answer, left = gate()
    assert answer["outcome"] == "release"
    assert answer["reason"].startswith("better than weekday_mean by ")
    assert (answer["decision_id"], answer["mlflow_run_id"], answer["version"]) == ("gate__demand__v3", "abc", "3")
    assert gate()[0] == answer
    assert kept(cold_store) == [("gate__demand__v3", "gate", "demand", "2025-06-30", "release", answer["reason"])]
    assert registry.tags["demand", "3", "gate"] == "release"
    assert registry.logged["abc", "gate_decision.json"]["reference"] == "weekday_mean"
    assert registry.descriptions["demand", "3"] == f"release: {answer['reason']}"
    assert registry.metrics["abc", "gate_gain_low"] > 0.1
    sizes = [(registry.folder / name).stat().st_size for name in ("model.txt", "spread.txt")]
    assert registry.metrics["abc", "gate_model_bytes"] == sum(sizes)
    ((details,),) = cold_store.connection.execute("SELECT details_json FROM OPERATIONS.DECISIONS").fetchall()
    assert json.loads(details).keys() == registry.logged["abc", "gate_decision.json"].keys()
    assert left[GateDecisionLink.key] == "http://mlflow/abc/gate_decision.json"
    assert left[ModelCardLink.key] == "http://mlflow/abc/model_card.html"
    assert left[MLflowRunLink.key] == "http://mlflow/abc"


def test_a_hold_is_a_skip_with_its_reasons_and_is_kept_all_the_same(cold_store, registry):
    register(registry, skill=1.2)
    with pytest.raises(AirflowSkipException, match="holds version 3 back: not surely better than weekday_mean"):
        gate()
    ((*_, outcome, reason),) = kept(cold_store)
    assert outcome == registry.tags["demand", "3", "gate"] == "hold"
    assert "not surely better" in reason


def test_a_forced_candidate_is_released_with_the_rules_it_broke(cold_store, registry):
    register(registry, skill=1.2, is_forced=True)
    assert gate()[0]["reason"].startswith("released by force; not surely better")


@pytest.mark.parametrize("is_forced", [False, True])
@pytest.mark.parametrize("trained", [{"horizon_days": 7}, {"horizon_days": 0}])
def test_a_candidate_of_fewer_days_than_are_served_is_held_even_by_force(cold_store, registry, is_forced, trained):
    register(registry, is_forced=is_forced, **trained)
    with pytest.raises(AirflowSkipException, match=f"trained for {trained['horizon_days']} of 28 days ahead"):
        gate()
    assert [row[4] for row in kept(cold_store)] == ["hold"]


def test_a_damaged_model_is_held(cold_store, registry):
    (registry.folder / "model.txt").write_text("tree\nversion=v4\n")
    with pytest.raises(AirflowSkipException, match="could not be run to take its time"):
        gate()
    assert "microseconds" not in str(registry.metrics)


def test_without_a_candidate_there_is_nothing_to_judge(cold_store, registry):
    registry.candidate = None
    with pytest.raises(AirflowSkipException, match="weekly_retraining_demand makes one"):
        gate()
