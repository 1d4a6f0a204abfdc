"""How Airflow's form shows the connections that only Shelfcast has: their names, the labels of their fields, and help."""

from typing import Any

TEXT = {"type": ["string", "null"]}
SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


def connection_types() -> list[dict[str, Any]]:
    """Entry `connection-types` of the provider's description; a field of `conn-fields` is an extra of that name."""
    return [_change_log(), _mlflow(), _wandb(), _forecaster()]


def _change_log() -> dict[str, Any]:
    return {
        "connection-type": "shelfcast_debezium",
        "hook-class-name": "shelfcast_provider.ingestion.debezium_hook.DebeziumHook",
        "hook-name": "Shelfcast change log",
        "ui-field-behaviour": {
            "hidden-fields": ["extra"],
            "relabeling": {"schema": "Database", "login": "User"},
            "placeholders": {"host": "shop-database.example", "port": "5432", "login": "a user that may replicate"},
        },
        "conn-fields": {
            "slot_name": _field("Replication slot", "Made if it is not there. Empty: shelfcast.", TEXT),
            "publication_name": _field("Publication", "Made if it is not there. Empty: shelfcast.", TEXT),
            "sslmode": _field("TLS mode", "As libpq means it. Empty: prefer.", {**TEXT, "enum": [None, *SSL_MODES]}),
            "sslrootcert": _field("Root certificate", "Path of a PEM file, where tasks and the triggerer run.", TEXT),
            "sslcert": _field("Client certificate", "Path of a PEM file.", TEXT),
            "sslkey": _field("Client key", "Path of a PKCS-8 file: DER, or PEM of an RSA key.", TEXT),
        },
    }


def _mlflow() -> dict[str, Any]:
    return {
        "connection-type": "shelfcast_mlflow",
        "hook-class-name": "shelfcast_provider.registry.mlflow_hook.MLflowHook",
        "hook-name": "Shelfcast MLflow",
        "ui-field-behaviour": {
            "hidden-fields": ["extra"],
            "relabeling": {"schema": "Scheme", "login": "User"},
            "placeholders": {"schema": "http or https", "host": "mlflow.example", "port": "5000"},
        },
    }


def _wandb() -> dict[str, Any]:
    return {
        "connection-type": "shelfcast_wandb",
        "hook-class-name": "shelfcast_provider.registry.wandb_hook.WandbHook",
        "hook-name": "Shelfcast Weights & Biases",
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "login", "port", "extra"],
            "relabeling": {"host": "Base URL", "password": "API key"},
            "placeholders": {"host": "of a server of your own; empty: https://api.wandb.ai"},
        },
        "conn-fields": {
            "entity": _field("Entity", "User or team. Empty: the API key's own.", TEXT),
            "project": _field("Project", "Empty: shelfcast.", TEXT),
            "mode": _field(
                "Mode",
                "offline: nothing is sent, the run stays on disk. Empty: online.",
                {**TEXT, "enum": [None, "online", "offline"]},
            ),
        },
    }


def _forecaster() -> dict[str, Any]:
    return {
        "connection-type": "shelfcast_forecaster",
        "hook-class-name": "shelfcast_provider.serving.forecaster_hook.ForecasterHook",
        "hook-name": "Shelfcast forecaster",
        "ui-field-behaviour": {
            "hidden-fields": ["login", "extra"],
            "relabeling": {"schema": "Scheme", "password": "Token"},
            "placeholders": {"schema": "http or https", "host": "forecaster.example", "port": "8090"},
        },
    }


def _field(label: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": schema}
