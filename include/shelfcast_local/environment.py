"""The environment of every process that belongs to the loop: Airflow's settings, connections, Shelfcast's own."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from shelfcast.storage import is_in_bucket, location
from shelfcast_local.configuration import HOST, Configuration
from shelfcast_local.services import cold_store, hot_store
from shelfcast_local.services.java import java_home

REPOSITORY = Path(__file__).resolve().parents[2]
ALERT_ADDRESS = "forecast-oncall@shop.example"
PRELOADED = (
    "airflow",
    "airflow.dag_processing.dagbag",
    "airflow.executors.local_executor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.sdk.execution_time.supervisor",
    "airflow.providers.apache.spark.hooks.spark_submit",
    "airflow.providers.snowflake.hooks.snowflake",
    "mlflow",
    "great_expectations",
    "evidently",
    "git",
    "psycopg",
    "redis",
)
"""Loaded once in the process that all task processes are forked from, so that no task pays for them again: up to
seconds each, and the memory is theirs in common."""

NO_TELEMETRY = {"DO_NOT_TRACK": "true", "GX_ANALYTICS_ENABLED": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""MLflow sends usage statistics unless told not to; Evidently and Great Expectations have switches of their own."""


def virtual_environment_binary(name: str) -> str:
    """Path of a program that was installed beside this Python."""
    return str(Path(sys.executable).parent / name)


def locations(home: Path) -> dict[str, str]:
    """Where files lie: below the state folder, or in the bucket that this process' environment names."""
    folders = {"SHELFCAST_LANDING": home / "landing", "SHELFCAST_ARTIFACTS": home / "artifacts"}
    asked = {name: os.environ.get(name, "") for name in folders}
    return {name: asked[name] if is_in_bucket(asked[name]) else str(folder) for name, folder in folders.items()}


def environment(home: Path, configuration: Configuration, *, jars: list[Path]) -> dict[str, str]:
    """All variables; they hold passwords, so they go to child processes only, never to a log."""
    return {
        **_airflow(home, configuration),
        **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections(configuration).items()},
        **_mlflow(configuration),
        **NO_TELEMETRY,
        "SHELFCAST_HOME": str(home),
        "SHELFCAST_PROFILE": "laptop",
        **locations(home),
        **{name: value for name, value in os.environ.items() if name.startswith("AWS_")},
        "SHELFCAST_ALERT_ADDRESS": ALERT_ADDRESS,
        "SHELFCAST_NUM_THREADS": "2",
        "SHELFCAST_TRAINING_CONNECTION": "spark_training",
        "SHELFCAST_SPARK_JARS": ",".join(str(jar) for jar in jars),
        "JAVA_HOME": str(java_home()),
        "OMP_NUM_THREADS": "2",
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": HOST,
        "SPARK_LOCAL_DIRS": str(home / "spark"),
        "REQUESTS_CA_BUNDLE": str(cold_store.ca_bundle(home)),
        "CURL_CA_BUNDLE": str(cold_store.ca_bundle(home)),
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONUNBUFFERED": "1",
    }


def connections(configuration: Configuration) -> dict[str, dict[str, Any]]:
    """Airflow's connections by id."""
    ports, passwords = configuration.ports, configuration.passwords
    return {
        "shop_database": {
            "conn_type": "postgres",
            "host": HOST,
            "port": ports["postgres"],
            "login": "shop",
            "password": passwords["postgres"],
            "schema": "shop",
        },
        "cold_store": cold_store.connection(configuration),
        "hot_store": {
            "conn_type": "redis",
            "host": HOST,
            "port": ports["hot_store"],
            "password": passwords["hot_store"],
            "extra": {"db": 0},
        },
        "spark_default": {"conn_type": "spark", "host": "local[2]"},
        # both models are trained at a time, beside all else: threads that wait for one another cost four times the work
        "spark_training": {"conn_type": "spark", "host": "local[1]"},
        "mlflow": {
            "conn_type": "shelfcast_mlflow",
            "schema": "http",
            "host": HOST,
            "port": ports["mlflow"],
            "login": "shelfcast",
            "password": passwords["mlflow"],
        },
        "forecaster": {
            "conn_type": "shelfcast_forecaster",
            "schema": "http",
            "host": HOST,
            "port": ports["forecaster"],
            "password": passwords["forecaster"],
        },
        "smtp_default": {
            "conn_type": "smtp",
            "host": HOST,
            "port": ports["smtp"],
            "extra": {
                "disable_ssl": True,
                "disable_tls": True,
                "ssl_context": "none",
                "from_email": "shelfcast@shop.example",
            },
        },
    }


def forecaster_environment(home: Path, configuration: Configuration) -> dict[str, str]:
    """What `python -m forecaster` reads."""
    return {
        "SHELFCAST_FORECASTER_HOST": HOST,
        "SHELFCAST_FORECASTER_PORT": str(configuration.ports["forecaster"]),
        "SHELFCAST_FORECASTER_TOKEN": configuration.passwords["forecaster"],
        "SHELFCAST_HOT_STORE_URL": hot_store.url(configuration),
        "SHELFCAST_RELEASES": str(location(locations(home)["SHELFCAST_ARTIFACTS"]) / "releases"),
        # the days of a shop that is replayed lie years back, however new they are to it
        "SHELFCAST_STALE_AFTER_DAYS": os.environ.get("SHELFCAST_STALE_AFTER_DAYS", "any"),
        "OMP_NUM_THREADS": "1",
    }


def _airflow(home: Path, configuration: Configuration) -> dict[str, str]:
    ports, passwords = configuration.ports, configuration.passwords
    url = f"http://{HOST}:{ports['airflow']}"
    settings = {
        "CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "4",
        "CORE__FERNET_KEY": configuration.fernet_key,
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__DAGBAG_IMPORT_TIMEOUT": "180",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "airflow" / "passwords.json"),
        "CORE__MP_START_METHOD": "forkserver",
        "CORE__MP_FORKSERVER_PRELOAD": ",".join(PRELOADED),
        "SCHEDULER__MP_START_METHOD": "forkserver",
        "SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "120",
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",  # what a killed scheduler left is taken up soon
        # the first task waits for what is loaded once, and a scheduler that is silent for longer takes itself for dead
        "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "60",
        "API__HOST": HOST,
        "API__PORT": str(ports["airflow"]),
        "API__BASE_URL": url,
        "API__WORKERS": "1",
        "API__SECRET_KEY": passwords["session"],
        "API_AUTH__JWT_SECRET": passwords["jwt"],
        "WORKERS__EXECUTION_API_TIMEOUT": "60",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "DATABASE__SQL_ALCHEMY_CONN": (
            f"postgresql+psycopg2://airflow:{passwords['postgres']}@{HOST}:{ports['postgres']}/airflow"
        ),
        "USAGE_DATA_COLLECTION__ENABLED": "False",
        "OPENLINEAGE__DISABLED": "True",
    }
    return {"AIRFLOW_HOME": str(home / "airflow"), **{f"AIRFLOW__{name}": value for name, value in settings.items()}}


def _mlflow(configuration: Configuration) -> dict[str, str]:
    return {
        "MLFLOW_TRACKING_URI": f"http://{HOST}:{configuration.ports['mlflow']}",
        "MLFLOW_TRACKING_USERNAME": "shelfcast",
        "MLFLOW_TRACKING_PASSWORD": configuration.passwords["mlflow"],
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
