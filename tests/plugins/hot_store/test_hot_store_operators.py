"""Publishing a business date's features and comparing both stores, with a real hot store."""

from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import served_world
from airflow.sdk.exceptions import AirflowFailException

from shelfcast.cold_store import feature_views
from shelfcast.errors import HotStoreError
from shelfcast.hot_store import partition
from shelfcast.hot_store.generation import shard, vector_key
from shelfcast.hot_store.vector import unpack
from shelfcast_provider.hot_store.hot_store_hook import HotStoreHook
from shelfcast_provider.hot_store.parity_operator import ParityOperator
from shelfcast_provider.hot_store.publish_generation_operator import PublishGenerationOperator

DAY = date(2025, 6, 30)
NEXT = DAY + timedelta(days=1)
SERIES = ["milk@S1", "milk@S2", "soap@S1"]
MODELS = ["demand", "order_value"]


@pytest.fixture
def store(cold_store, demand, order_value):
    """Features of three series and two customers on two business dates; `units_lag_1` of milk@S1 is not known."""
    feature_views.prepare(cold_store)
    for offset, day in enumerate((DAY, NEXT)):
        as_of = {name: [10.0 * offset + number for number in range(3)] for name in demand.as_of_features}
        as_of["units_lag_1"] = [None, 1.0, 2.0]
        rows = pd.DataFrame({"series_id": SERIES, "is_active": True, "business_date": day} | as_of)
        insert(cold_store, "FEATURES.DEMAND", rows)
        ahead = rows[["business_date", "series_id"]].merge(
            pd.DataFrame({"horizon_days": range(1, demand.horizon + 1)} | dict.fromkeys(demand.ahead_covariates, 0.5)),
            how="cross",
        )
        insert(cold_store, "FEATURES.DEMAND_AHEAD", ahead)
        customers = pd.DataFrame(
            {"business_date": day, "customer_id": [9, 10]} | dict.fromkeys(order_value.as_of_features, 3.0)
        )
        insert(cold_store, "FEATURES.ORDER_TOTAL", customers)
    return cold_store


def insert(store, table, rows):
    store.connection.register("given", rows)
    store.connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM given")


def publish(day=DAY, *, model="demand", run="run", tries=1):
    operator = PublishGenerationOperator(task_id="publish", model=model, business_date=str(day))
    return operator.execute({"run_id": run, "ti": SimpleNamespace(try_number=tries)})


def parity(day=DAY, models=("demand",)):
    return ParityOperator(task_id="parity", models=models, business_date=str(day)).execute({})


def test_what_is_published_is_at_parity_and_answers_ids_and_counts(store, hot_store, demand):
    answer = publish()
    assert publish(model="order_value")["vectors"] == 2
    manifest = hot_store.current("demand")
    assert answer == {"outcome": "published", "generation": manifest.generation, "vectors": 3}
    assert manifest.business_date == "2025-06-30"
    assert parity(models=MODELS) == {"demand": 3, "order_value": 2}
    vector = unpack(hot_store.read(manifest, entity_kind="series_id")["soap@S1"], fields=demand.vector_fields)
    assert vector.business_date == DAY
    assert float(vector.numbers[demand.as_of_features.index("units_lag_1")]) == 2.0


def test_each_try_writes_a_generation_of_its_own(store, hot_store):
    names = {publish()["generation"], publish(tries=2)["generation"], publish(run="other")["generation"]}
    assert len(names) == 3


def test_an_older_business_date_is_superseded_and_changes_nothing(store, hot_store):
    generation = publish(NEXT)["generation"]
    assert publish(DAY) == {"outcome": "superseded", "generation": None, "vectors": 0}
    assert parity(DAY) == {"demand": None}
    assert hot_store.current("demand").generation == generation


def test_a_superseded_date_without_features_fails_for_good(store, hot_store):
    publish(NEXT)
    with pytest.raises(AirflowFailException, match="no features of demand for 2025-06-29"):
        publish(DAY - timedelta(days=1))


def test_a_restatement_of_the_same_date_is_published(store, hot_store):
    publish()
    store.connection.execute("UPDATE FEATURES.DEMAND SET units_mean_7 = 99 WHERE series_id = 'milk@S2'")
    with pytest.raises(AirflowFailException, match=r"1 values .* milk@S2\.units_mean_7: hot 1\.0, cold 99\.0"):
        parity()
    publish(run="later")
    assert parity() == {"demand": 3}


def spoil(hook, demand, entity, field, value):
    """Serves a whole generation with another number in it."""
    found = hook.read(hook.current("demand"), entity_kind="series_id")
    numbers = {name: unpack(each, fields=demand.vector_fields).numbers.copy() for name, each in found.items()}
    numbers[entity][demand.vector_fields.index(field)] = value
    served_world.publish(hook, demand, numbers, business_date=DAY, run="spoiled")


@pytest.mark.parametrize(
    ("entity", "field", "value", "message"),
    [
        ("milk@S2", "units_mean_7", 9.0, r"milk@S2\.units_mean_7: hot 9\.0, cold 1\.0\."),
        ("milk@S1", "units_lag_1", 0.0, r"milk@S1\.units_lag_1: hot 0\.0, cold nan\."),
        ("soap@S1", "price_latest", np.nan, r"soap@S1\.price_latest: hot nan, cold 2\.0\."),
    ],
)
def test_a_difference_is_named_with_entity_field_and_both_values_and_is_not_tried_again(
    store, hot_store, demand, entity, field, value, message
):
    publish()
    spoil(hot_store, demand, entity, field, value)
    with pytest.raises(AirflowFailException, match=message):
        parity()


def test_a_vector_that_is_lost_after_publishing_is_named(store, hot_store):
    generation = publish()["generation"]
    key = vector_key("demand", generation, "milk@S2", shard_name=shard("series_id", "milk@S2"))
    hot_store.get_conn().delete(key)
    with pytest.raises(HotStoreError, match="without a vector: milk@S2"):
        parity()


def test_a_hot_store_that_is_behind_is_named(store, hot_store):
    publish(DAY)
    with pytest.raises(AirflowFailException, match="milk@S1 is of 2025-06-30, not 2025-07-01"):
        parity(NEXT)


def test_features_that_are_not_built_fail_for_good(store, hot_store):
    with pytest.raises(AirflowFailException, match="no features of demand for 2025-07-02"):
        publish(NEXT + timedelta(days=1))
    store.connection.execute("DELETE FROM FEATURES.DEMAND_AHEAD WHERE series_id = 'soap@S1' AND horizon_days = 3")
    with pytest.raises(AirflowFailException, match="83 rows of days ahead for 3 series"):
        publish()
    with pytest.raises(HotStoreError, match="no generation of demand yet"):
        hot_store.current("demand")


def test_what_was_not_written_whole_may_be_tried_again(store, hot_store, monkeypatch):
    """A piece that is lost on its way into the hot store is missed, and the other one does not stay."""
    write = HotStoreHook._write
    with monkeypatch.context() as patch:
        patch.setattr(partition, "PIECE_ENTITIES", 2)
        patch.setattr(HotStoreHook, "_write", lambda self, m, pieces, kind: write(self, m, list(pieces)[1:], kind))
        with pytest.raises(HotStoreError, match=r"holds 1 of 3 vectors.*It is not pointed at"):
            publish()
    assert hot_store.get_conn().dbsize() == 0
    assert publish()["vectors"] == 3


@pytest.mark.parametrize("model", MODELS)
def test_in_pieces_the_same_generation_is_published_and_compared(store, hot_store, monkeypatch, model):
    def published():
        hot_store.get_conn().flushall()
        publish(model=model)
        return {key: hot_store.get_conn().get(key) for key in hot_store.get_conn().scan_iter("fs:*:" + model + ":*")}

    whole, manifest = published(), hot_store.current(model)
    assert len(whole) == manifest.count
    for size in (1, 2):
        monkeypatch.setattr(partition, "PIECE_ENTITIES", size)
        assert published() == whole
        assert hot_store.current(model) == manifest
        assert parity(models=[model]) == {model: manifest.count}


def test_a_piece_that_the_cold_store_does_not_send_fails_for_good(store, hot_store, monkeypatch):
    publish(model="order_value")
    monkeypatch.setattr(partition, "PIECE_ENTITIES", 1)
    whole = type(store).batches
    monkeypatch.setattr(type(store), "batches", lambda *asked, **names: list(whole(*asked, **names))[:1])
    with pytest.raises(AirflowFailException, match="1 of 2 vectors of order_value for 2025-06-30 came out of the cold"):
        publish(model="order_value", run="later")
    with pytest.raises(HotStoreError, match="1 of 2 vectors of order_value"):
        parity(models=["order_value"])
    assert hot_store.current("order_value").count == 2


@pytest.mark.parametrize("task", [publish, parity])
@pytest.mark.parametrize("day", ["None", "", "{{ ds }}", "2025-02-30"])
def test_a_run_without_a_business_date_fails_for_good(task, day):
    with pytest.raises(AirflowFailException, match="partition key"):
        task(day)


@pytest.mark.parametrize("operator", [PublishGenerationOperator, ParityOperator])
def test_the_business_date_is_templated(operator):
    assert "business_date" in operator.template_fields


def test_parity_waits_for_every_model_and_announces_the_date():
    import os

    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=f"{os.environ['AIRFLOW__CORE__DAGS_FOLDER']}/feature_cache_refresh.py")
    dag = bag.dags["feature_cache_refresh"]
    parity_task = dag.get_task("parity")
    assert parity_task.upstream_task_ids == {f"publish_{model}" for model in MODELS}
    assert parity_task.trigger_rule == "all_success"
    assert [asset.name for asset in parity_task.outlets] == ["demand_feature_cache"]
