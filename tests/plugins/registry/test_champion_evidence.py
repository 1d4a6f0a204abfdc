"""What the gate is told of the champion: its words in the ledger and its forecasts of the candidate's vectors."""

import json
import shutil
from datetime import date

import lightgbm
import numpy as np
import pandas as pd
import pytest
from served_world import cold_store, order_value_parts, released

from shelfcast.deployment import pointer
from shelfcast.model.candidate import SINCE_CHAMPION, Question, TrainingRecord
from shelfcast.model.lightgbm_fit import native_text
from shelfcast.serving.vintage import prepare_ledger
from shelfcast_provider.registry.champion_evidence import evidence_of, rows_beside_served

__all__ = ["cold_store", "order_value_parts"]
CUTOFF = date(2024, 6, 30)
ORIGIN = date(2024, 6, 2)
OURS, OTHER = "demand-20240531-0123456789", "demand-20240520-0123456789"


def insert(store, table, rows):
    store.connection.register("given", rows)
    store.connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM given")
    store.connection.unregister("given")


@pytest.fixture
def ledger(cold_store):
    """Two vintages of one series: one that was said in time, one in hindsight."""
    prepare_ledger(cold_store)
    rows = pd.DataFrame(
        {"series_id": "a@b", "horizon_days": [1, 2, 1], "mean": [5.0, 6.0, 7.0], "q05": 1.0, "q95": 9.0}
    )
    rows["business_date"] = [ORIGIN, ORIGIN, date(2024, 6, 9)]
    rows["release_id"], rows["release_cutoff"] = OURS, [date(2024, 5, 31), date(2024, 5, 31), date(2024, 6, 30)]
    insert(cold_store, "FORECASTS.LEDGER", rows)
    return cold_store


def forecasts(*keys):
    rows = pd.DataFrame(keys, columns=["business_date", "horizon_days"])
    return rows.assign(series_id="a@b", mean=4.0, actual=4.5, fold=0)


def test_what_was_said_in_time_is_laid_beside_and_hindsight_is_not(ledger, demand):
    rows = forecasts((ORIGIN, 1), (ORIGIN, 2), (ORIGIN, 3), (date(2024, 6, 9), 1))
    found = rows_beside_served(ledger, rows, demand)
    assert found["served"].tolist()[:2] == [5.0, 6.0]
    assert found["served"].isna().tolist() == [False, False, True, True]
    assert rows_beside_served(ledger, rows, demand, release_id=OTHER)["served"].isna().all()


def about(**other):
    told = {"question": "refresh", "champion": OURS, "champion_cutoff": "2024-05-31", "model": "demand"}
    return TrainingRecord.model_validate(told | {"cutoff": CUTOFF} | other)


def test_before_the_first_release_there_is_nothing_to_tell(cold_store, demand, tmp_path):
    assert evidence_of(cold_store, tmp_path, about(question="first"), demand).question is Question.FIRST


def test_the_champions_own_words_are_those_of_its_release(ledger, demand, tmp_path):
    forecasts((ORIGIN, 1)).to_parquet(tmp_path / SINCE_CHAMPION)
    recipe = {"question": "recipe", "changes": ["features"]}
    ours = evidence_of(ledger, tmp_path, about(**recipe), demand)
    assert ours.since_champion["served"].tolist() == [5.0]
    assert (ours.nearness, ours.is_older, ours.changes) == (None, False, ("features",))
    other = evidence_of(ledger, tmp_path, about(**recipe, champion=OTHER), demand)
    assert other.since_champion["served"].isna().all()
    assert evidence_of(ledger, tmp_path, about(**recipe, champion_cutoff="2024-07-07"), demand).is_older


@pytest.fixture
def serving(artifacts, order_value_parts):
    """The release of order values that serves."""
    return pointer.read(released(order_value_parts, artifacts / "releases" / "order_value")).current


def fill(store, day):
    store.run("cold_store/create_order_total")
    totals = {"customer_id": np.arange(50), "total_spent": np.linspace(10, 900, 50), "purchase_count": 5.0}
    insert(store, "FEATURES.ORDER_TOTAL", pd.DataFrame(totals).assign(business_date=day))


def test_the_same_model_is_as_near_as_can_be_and_a_distant_one_is_not(
    cold_store, order_value, order_value_parts, serving, tmp_path
):
    fill(cold_store, CUTOFF)
    same = evidence_of(cold_store, order_value_parts, about(champion=serving), order_value).nearness
    assert (same.entities, same.total_change, same.furthest_store) == (50, 0.0, None)
    other = shutil.copytree(order_value_parts, tmp_path / "other")
    (other / "model.txt").write_text(doubled((other / "model.txt").read_text()))
    training = json.loads((other / "training.json").read_text())
    (other / "training.json").write_text(json.dumps(training | {"cutoff": "2024-07-07"}))
    far = evidence_of(cold_store, other, about(champion=serving), order_value).nearness
    assert far.total_change > 0.5
    assert not far.is_within(order_value.gate)


def doubled(text):
    """A model whose forecasts are twice as high."""
    booster = lightgbm.Booster(model_str=text)
    for tree in booster.dump_model()["tree_info"]:
        for leaf in range(tree["num_leaves"]):
            place = tree["tree_index"], leaf
            booster.set_leaf_output(*place, 2 * booster.get_leaf_output(*place))
    return native_text(booster)


def test_without_vectors_of_the_cutoff_there_is_no_nearness(cold_store, order_value, order_value_parts, serving):
    cold_store.run("cold_store/create_order_total")
    told = evidence_of(cold_store, order_value_parts, about(champion=serving), order_value)
    assert told.nearness is None
