"""What Airflow finds of the provider package through its entry point."""

import importlib
from importlib.metadata import entry_points, version

import pytest
from airflow.providers_manager import ProvidersManager
from airflow.sdk.bases.operatorlink import BaseOperatorLink

from shelfcast_provider.connections import ALLOWED_EXTRAS, FORECASTER, MLFLOW, SHOP_DATABASE, WANDB
from shelfcast_provider.get_provider_info import get_provider_info
from shelfcast_provider.sources.shop_address import TLS_MODES

HOOKS = {
    "shelfcast_debezium": ("DebeziumHook", "Shelfcast change log"),
    "shelfcast_mlflow": ("MLflowHook", "Shelfcast MLflow"),
    "shelfcast_wandb": ("WandbHook", "Shelfcast Weights & Biases"),
    "shelfcast_forecaster": ("ForecasterHook", "Shelfcast forecaster"),
}


def test_the_entry_point_leads_to_the_description():
    (found,) = [point for point in entry_points(group="apache_airflow_provider") if point.dist.name == "shelfcast"]
    assert found.load() is get_provider_info


def test_airflow_lists_the_package_with_its_version():
    found = ProvidersManager().providers["shelfcast"]
    assert found.version == version("shelfcast")
    assert found.data["name"] == "Shelfcast"


@pytest.mark.parametrize("connection_type", HOOKS)
def test_airflow_knows_each_connection_type_and_its_hook(connection_type):
    class_name, shown = HOOKS[connection_type]
    found = ProvidersManager().hooks[connection_type]
    assert (found.package_name, found.hook_name, found.connection_type) == ("shelfcast", shown, connection_type)
    module, _, name = found.hook_class_name.rpartition(".")
    hook = getattr(importlib.import_module(module), name)
    assert (name, hook.conn_type) == (class_name, connection_type)


@pytest.mark.parametrize(
    ("connection_type", "labels", "hidden"),
    [
        ("shelfcast_debezium", {"schema": "Database", "login": "User"}, {"extra"}),
        ("shelfcast_mlflow", {"schema": "Scheme", "login": "User"}, {"extra"}),
        ("shelfcast_wandb", {"host": "Base URL", "password": "API key"}, {"schema", "login", "port", "extra"}),
        ("shelfcast_forecaster", {"schema": "Scheme", "password": "Token"}, {"login", "extra"}),
    ],
)
def test_the_form_of_a_connection_has_a_name_and_labels_without_importing_its_hook(connection_type, labels, hidden):
    shown = {each.connection_type: each for each in ProvidersManager().iter_connection_type_hook_ui_metadata()}
    found = shown[connection_type]
    assert found.hook_name == HOOKS[connection_type][1]
    assert found.field_behaviour["relabeling"] == labels
    assert set(found.field_behaviour["hidden_fields"]) == hidden
    assert found.field_behaviour["placeholders"]


EXTRAS = {
    "shelfcast_debezium": SHOP_DATABASE,
    "shelfcast_mlflow": MLFLOW,
    "shelfcast_wandb": WANDB,
    "shelfcast_forecaster": FORECASTER,
}


@pytest.mark.parametrize("connection_type", HOOKS)
def test_the_form_asks_for_each_extra_that_is_allowed_with_a_label_and_help(connection_type):
    widgets = ProvidersManager()._connection_form_widgets_from_metadata.items()
    own = {each.field_name: each.field for name, each in widgets if name.startswith(f"extra__{connection_type}__")}
    assert set(own) == ALLOWED_EXTRAS[EXTRAS[connection_type]]
    for field in own.values():
        assert field["schema"]["title"]
        assert field["description"].endswith(".")
    assert own.get("sslmode", {"schema": {"enum": [None, *TLS_MODES]}})["schema"]["enum"][1:] == list(TLS_MODES)


def test_no_connection_type_is_declared_without_a_test():
    assert {each["connection-type"] for each in get_provider_info()["connection-types"]} == set(HOOKS)


@pytest.mark.parametrize("path", get_provider_info()["extra-links"])
def test_airflow_offers_each_extra_link(path):
    module, _, name = path.rpartition(".")
    assert path in ProvidersManager().extra_links_class_names
    link = getattr(importlib.import_module(module), name)
    assert issubclass(link, BaseOperatorLink)
    assert link.name
