"""The steps of a release against a real forecaster, a real hot store and the shipped fake of the cold one."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from airflow.sdk.exceptions import AirflowFailException
from served_world import numbers_of, publish

from shelfcast.deployment import pointer
from shelfcast.deployment.build_bundle import build
from shelfcast.errors import PostConditionFailed, ReleaseError
from shelfcast.serving.predictor import Predictor
from shelfcast_provider.deployment import release_probe
from shelfcast_provider.deployment.build_bundle_operator import BuildBundleOperator
from shelfcast_provider.deployment.promote_operator import PromoteOperator
from shelfcast_provider.deployment.smoke_test_operator import SmokeTestOperator
from shelfcast_provider.deployment.swap_release_operator import SwapReleaseOperator
from shelfcast_provider.hot_store.hot_store_hook import HotStoreHook
from shelfcast_provider.registry import mlflow_hook
from shelfcast_provider.serving.forecaster_hook import ForecasterHook

RUN = {"run_id": "asset__2025-06-30"}
CANDIDATE = {"version": "3", "mlflow_run_id": "abc"}


class Registry:
    """MLflow as the release steps use it: candidates by run, aliases by model."""

    def __init__(self, candidates):
        self.candidates = candidates
        self.aliases = {}

    def download(self, run_id, path, folder):
        assert path == "candidate"
        return str(shutil.copytree(self.candidates[run_id], Path(folder) / path))

    def set_alias(self, model, alias, version):
        self.aliases[model, alias] = version

    def version(self, model, alias):
        found = self.aliases.get((model, alias))
        return found and SimpleNamespace(version=found)

    def run_url(self, run_id):
        return f"http://mlflow/{run_id}"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(release_probe, "PAUSE_SECONDS", 0.05)


@pytest.fixture
def registry(monkeypatch, parts, order_value_parts):
    made = Registry({"abc": parts, "def": order_value_parts})
    monkeypatch.setattr(mlflow_hook, "MLflowHook", lambda *_: made)
    return made


@pytest.fixture
def series(predictor, frame):
    """Numbers of a few series, one of them without history."""
    rows = {f"milk@S{number}": numbers_of(predictor, frame, number * 20) for number in range(8)}
    return rows | {"unseen@S1": np.full_like(rows["milk@S0"], np.nan)}


@pytest.fixture
def filled(hot_store, demand, series):
    """A hot store with features of the demand."""
    publish(hot_store, demand, series)
    return hot_store


def bundle(model="demand", run_id="abc"):
    operator = BuildBundleOperator(task_id="bundle", model=model, mlflow_run_id=run_id)
    return operator.execute(RUN)["release_id"]


def smoke(release_id, model="demand"):
    return SmokeTestOperator(task_id="smoke", model=model, release_id=release_id).execute(RUN)


def swapping(release_id, model="demand"):
    return SwapReleaseOperator(task_id="swap", model=model, release_id=release_id, **CANDIDATE)


def swap(release_id, model="demand"):
    return swapping(release_id, model).execute(RUN)


def promote(release_id, model="demand"):
    operator = PromoteOperator(task_id="promote", model=model, release_id=release_id, reason="better", **CANDIDATE)
    return operator.execute(RUN)


def recorded(store):
    columns = "release_id, run_id, version, mlflow_run_id, previous, outcome, reason, cutoff::VARCHAR"
    return store.connection.execute(f"SELECT {columns} FROM OPERATIONS.RELEASES").fetchall()


@pytest.fixture(scope="session")
def built(parts, tmp_path_factory):
    """Releases of two candidates, the first of which serves."""
    releases, folder = tmp_path_factory.mktemp("releases"), tmp_path_factory.mktemp("older") / "candidate"
    shutil.copytree(parts, folder)
    about = json.loads((folder / "training.json").read_text()) | {"cutoff": "2024-06-23"}
    (folder / "training.json").write_text(json.dumps(about))
    pointer.swap(releases, build(folder, releases))
    build(parts, releases)
    return releases


@pytest.fixture
def older(built, artifacts):
    """A release that serves already; the candidate's own was built by an earlier try."""
    return pointer.read(shutil.copytree(built, artifacts / "releases" / "demand")).current


def test_a_candidate_becomes_the_release_that_serves(artifacts, forecaster, filled, cold_store, registry):
    release_id = bundle()
    assert smoke(release_id) == {"release_id": release_id, "is_sound": True, "rows": 56}
    assert swap(release_id) == {"release_id": release_id, "previous": None, "probes": 5}
    assert ForecasterHook().ready()["releases"]["demand"] == release_id
    assert promote(release_id) == "3"
    assert registry.aliases == {("demand", "champion"): "3"}
    assert recorded(cold_store) == [
        (release_id, RUN["run_id"], "3", "abc", None, "promoted", "better", "2024-06-30"),
    ]


def test_every_step_can_be_run_again(artifacts, older, forecaster, filled, cold_store, registry):
    release_id = bundle()
    first = [swap(release_id), promote(release_id), recorded(cold_store)]
    assert bundle() == release_id
    assert [swap(release_id), promote(release_id), recorded(cold_store)] == first
    assert first[0]["previous"] == older
    assert first[2][0][4] == older


def test_a_regression_is_released_as_well(artifacts, forecaster, hot_store, cold_store, registry, order_value):
    customers = {str(number): np.array([40.0 * number, number], dtype=np.float32) for number in range(1, 30)}
    publish(hot_store, order_value, customers)
    release_id = bundle("order_value", "def")
    assert smoke(release_id, "order_value")["is_sound"]
    assert swap(release_id, "order_value")["probes"] == 5
    assert promote(release_id, "order_value") == "3"


@pytest.mark.parametrize("part", ["mean", "q05", "q95", "sales_date", "is_open", "horizon_day"])
def test_an_answer_that_differs_in_any_part_takes_the_release_back(
    artifacts, older, forecaster, filled, cold_store, registry, monkeypatch, part
):
    ask = ForecasterHook.ask

    def slightly_wrong(self, *asked):
        answer = ask(self, *asked)
        day = answer["forecasts"][9]
        day[part] = {"sales_date": "2025-07-11", "is_open": False, "horizon_day": 11}.get(part, day["mean"] * 1.001)
        return answer

    monkeypatch.setattr(ForecasterHook, "ask", slightly_wrong)
    release_id = bundle()
    with pytest.raises(AirflowFailException, match=f"was taken back, {older} serves now: .* answers {part}"):
        swap(release_id)
    assert pointer.read(artifacts / "releases" / "demand").current == older
    (row,) = recorded(cold_store)
    assert row[4:6] == (older, "rolled_back")
    assert f"answers {part}" in row[6]


def test_a_release_that_was_taken_back_is_not_promoted(artifacts, older, cold_store, registry):
    with pytest.raises(AirflowFailException, match=f"{older} serves, not demand-20240630-"):
        promote(bundle())
    assert registry.aliases == {}


def test_a_champion_that_did_not_move_is_an_error(artifacts, older, cold_store, registry, monkeypatch):
    monkeypatch.setattr(registry, "set_alias", lambda *_: None)
    with pytest.raises(PostConditionFailed, match="is None, not version 3"):
        promote(older)


@pytest.fixture
def refreshes(filled, demand, monkeypatch):
    """Rows of refreshes, each of which comes right after vectors were read."""
    read, coming = HotStoreHook.read, []

    def read_then_refresh(self, manifest, **kind):
        values = read(self, manifest, **kind)
        if coming:
            publish(filled, demand, coming.pop(), run=f"with {len(coming)} to come")
        return values

    monkeypatch.setattr(HotStoreHook, "read", read_then_refresh)
    return coming


def test_features_that_are_refreshed_meanwhile_do_not_take_a_release_back(
    older, forecaster, series, cold_store, registry, refreshes
):
    refreshes += [{name: row * factor for name, row in series.items()} for factor in (1.5, 2.0)]
    assert swap(bundle())["probes"] == 5
    assert refreshes == []


def test_a_series_that_left_with_a_refresh_does_not_take_a_release_back(
    older, forecaster, series, cold_store, registry, refreshes
):
    refreshes.append({"milk@S7": series["milk@S7"]})
    assert swap(bundle())["probes"] == 1


def test_an_answer_that_fails_to_come_once_does_not_take_a_release_back(
    older, forecaster, filled, cold_store, registry, monkeypatch
):
    ask, refusals = ForecasterHook.ask, [ReleaseError("the hot store does not answer")]

    def slow_at_first(self, *asked):
        if refusals:
            raise refusals.pop()
        return ask(self, *asked)

    monkeypatch.setattr(ForecasterHook, "ask", slow_at_first)
    assert swap(bundle())["probes"] == 5


def test_features_that_never_hold_still_end_the_probe(
    artifacts, older, forecaster, series, cold_store, registry, refreshes
):
    refreshes += [series] * 9
    with pytest.raises(AirflowFailException, match="No answers could be compared in 5 tries"):
        swap(bundle())
    assert pointer.read(artifacts / "releases" / "demand").current == older


def test_without_vectors_there_is_nothing_to_probe_with(artifacts, forecaster, hot_store, cold_store, registry):
    with pytest.raises(AirflowFailException, match=r"no release serves now: .*holds no generation of demand yet"):
        swap(bundle())
    assert pointer.read(artifacts / "releases" / "demand").current is None
    assert recorded(cold_store)[0][5] == "rolled_back"


def test_series_without_history_are_no_probe(artifacts, forecaster, hot_store, demand, series, cold_store, registry):
    publish(hot_store, demand, {"unseen@S1": series["unseen@S1"]})
    with pytest.raises(AirflowFailException, match="None of 1 vectors of demand has history"):
        swap(bundle())


def test_a_forecaster_that_is_down_takes_the_release_back(artifacts, older, filled, cold_store, registry, monkeypatch):
    connection = {"conn_type": "shelfcast_forecaster", "host": "127.0.0.1", "port": 9, "password": "x"}
    monkeypatch.setenv("AIRFLOW_CONN_FORECASTER", json.dumps(connection))
    release_id = bundle()
    with pytest.raises(AirflowFailException, match=r"does not answer /readyz.*See that it runs"):
        swap(release_id)
    assert pointer.read(artifacts / "releases" / "demand").current == older
    with pytest.raises(ReleaseError, match="does not answer"):
        smoke(release_id)


def test_a_forecaster_that_does_not_follow_takes_the_release_back(
    artifacts, older, forecaster, filled, cold_store, registry, monkeypatch
):
    monkeypatch.setattr(release_probe, "FOLLOW_SECONDS", 1.0)
    monkeypatch.setattr("shelfcast.serving.releases.Releases.follow", lambda _: None)
    with pytest.raises(AirflowFailException, match=f"did not follow within 1 s: .*{older}"):
        swap(bundle())
    assert pointer.read(artifacts / "releases" / "demand").current == older


def test_a_cold_store_that_is_away_does_not_hide_why_a_release_was_taken_back(
    artifacts, older, forecaster, hot_store, registry, monkeypatch
):
    def away(*_):
        raise OSError("no route to the warehouse")

    monkeypatch.setattr("shelfcast_provider.cold_store.cold_store_hook.ColdStoreHook", away)
    with pytest.raises(AirflowFailException, match="holds no generation of demand yet"):
        swap(bundle())


@pytest.mark.parametrize("kill", [KeyboardInterrupt, SystemExit])
def test_a_kill_takes_the_release_back_and_is_not_held_up(
    artifacts, older, forecaster, filled, cold_store, registry, monkeypatch, kill
):
    def killed(*_):
        raise kill

    monkeypatch.setattr(ForecasterHook, "ask", killed)
    with pytest.raises(kill):
        swap(bundle())
    assert pointer.read(artifacts / "releases" / "demand").current == older


def test_a_task_that_is_ended_takes_its_release_back(artifacts, older, cold_store, registry):
    releases, release_id = artifacts / "releases" / "demand", bundle()
    pointer.swap(releases, release_id)
    swapping(release_id).on_kill()
    swapping(release_id).on_kill()
    assert pointer.read(releases).current == older


def test_a_try_after_a_kill_probes_the_release_that_serves_already(
    artifacts, older, forecaster, filled, cold_store, registry
):
    release_id = bundle()
    pointer.swap(artifacts / "releases" / "demand", release_id)
    assert swap(release_id) == {"release_id": release_id, "previous": older, "probes": 5}


def test_a_torn_pointer_stops_before_anything_is_moved(artifacts, older, cold_store, registry):
    path = artifacts / "releases" / "demand" / pointer.POINTER
    release_id = bundle()
    path.write_text('{"current": "dem')
    for step in (swap, promote):
        with pytest.raises(AirflowFailException, match="does not say which release of demand serves"):
            step(release_id)
    assert path.read_text() == '{"current": "dem'


def test_a_candidate_that_cannot_be_released_fails_for_good(artifacts, registry, parts, tmp_path):
    cut = shutil.copytree(parts, tmp_path / "cut")
    (cut / "model.txt").write_text((cut / "model.txt").read_text()[:-20_000])
    registry.candidates["cut"] = cut
    with pytest.raises(AirflowFailException, match="no sound model"):
        bundle(run_id="cut")
    with pytest.raises(AirflowFailException, match="is no release of demand"):
        bundle("demand", "def")


def test_a_release_that_predicts_what_cannot_be_is_not_released(artifacts, older, forecaster, monkeypatch):
    monkeypatch.setattr(Predictor, "has_history", lambda *_: True)
    made = Predictor.forecast

    def negative(self, *asked, **settings):
        answer = made(self, *asked, **settings)
        answer.mean[:] = -1
        return answer

    monkeypatch.setattr(Predictor, "forecast", negative)
    with pytest.raises(AirflowFailException, match="values that cannot be"):
        smoke(older)


def test_a_damaged_release_does_not_pass_the_smoke_test(artifacts, older, forecaster):
    (artifacts / "releases" / "demand" / older / "metrics.json").write_text("{}")
    with pytest.raises(ReleaseError, match=r"refused .*\(409\).*is not what was released"):
        smoke(older)


def test_what_writes_to_the_cold_store_takes_the_writers_slot():
    import os

    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=f"{os.environ['AIRFLOW__CORE__DAGS_FOLDER']}/model_deployment.py")
    assert bag.import_errors == {}
    for dag in bag.dags.values():
        pools = {task.task_id: task.pool for task in dag.tasks}
        assert {name for name, pool in pools.items() if pool == "cold_store_writers"} == {"gate", "swap", "promote"}
        assert dag.get_task("swap").release_id == "{{ ti.xcom_pull('bundle').release_id }}"
