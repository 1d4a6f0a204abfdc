"""A connection carries the extras that are listed for it and no others."""

import json

import pytest
from airflow.sdk import BaseHook

from shelfcast.errors import ConfigurationError
from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook
from shelfcast_provider.connections import (
    ALLOWED_EXTRAS,
    COLD_STORE,
    EMR,
    FORECASTER,
    HOT_STORE,
    MLFLOW,
    SHOP_DATABASE,
    WANDB,
    check_extras,
)
from shelfcast_provider.hot_store.hot_store_hook import HotStoreHook
from shelfcast_provider.ingestion.debezium_hook import DebeziumHook
from shelfcast_provider.registry.mlflow_hook import MLflowHook
from shelfcast_provider.registry.wandb_hook import WandbHook
from shelfcast_provider.serving.forecaster_hook import ForecasterHook
from shelfcast_provider.spark.emr_target import EmrTarget

OPENED_BY = {
    SHOP_DATABASE: DebeziumHook,
    COLD_STORE: lambda: ColdStoreHook().get_conn(),
    HOT_STORE: lambda: HotStoreHook().get_conn(),
    EMR: lambda: EmrTarget.of(BaseHook.get_connection(EMR).extra_dejson),
    MLFLOW: MLflowHook,
    WANDB: WandbHook,
    FORECASTER: ForecasterHook,
}


@pytest.mark.parametrize("connection_id", ALLOWED_EXTRAS)
def test_every_listed_extra_is_let_through(connection_id):
    check_extras(connection_id, dict.fromkeys(ALLOWED_EXTRAS[connection_id], "any"))
    check_extras(connection_id, {})


@pytest.mark.parametrize("connection_id", ALLOWED_EXTRAS)
def test_an_extra_that_is_not_listed_is_refused_by_name_beside_those_that_are(connection_id):
    allowed = ALLOWED_EXTRAS[connection_id]
    with pytest.raises(ConfigurationError) as refused:
        check_extras(connection_id, {**dict.fromkeys(allowed, "any"), "unheard_of": "secret-value"})
    said = str(refused.value)
    assert f"Connection {connection_id} carries extras that are not allowed: unheard_of." in said
    assert all(name in said for name in allowed)
    assert "secret-value" not in said


@pytest.mark.parametrize("connection_id", ALLOWED_EXTRAS)
def test_the_hook_refuses_before_it_connects(connection_id, monkeypatch):
    connection = {"conn_type": "generic", "host": "192.0.2.1", "password": "x", "extra": {"unheard_of": "y"}}
    monkeypatch.setenv(f"AIRFLOW_CONN_{connection_id.upper()}", json.dumps(connection))
    with pytest.raises(ConfigurationError, match=rf"Connection {connection_id} .*unheard_of"):
        OPENED_BY[connection_id]()
