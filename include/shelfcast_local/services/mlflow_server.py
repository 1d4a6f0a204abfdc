"""MLflow's tracking server with its registry, on SQLite, behind its own basic authentication."""

from pathlib import Path

from shelfcast_local.configuration import HOST, Configuration, private_folder, write_private
from shelfcast_local.environment import NO_TELEMETRY, virtual_environment_binary
from shelfcast_local.services import loopback
from shelfcast_local.services.supervisor import Service

USER = "shelfcast"


def service(home: Path, configuration: Configuration) -> Service:
    """The server; artifacts are served by it too."""
    folder, port = private_folder(private_folder(home) / "mlflow"), configuration.ports["mlflow"]
    settings = folder / "basic_auth.ini"
    write_private(
        settings,
        "[mlflow]\ndefault_permission = NO_PERMISSIONS\n"
        f"database_uri = sqlite:///{folder}/users.db\nadmin_username = {USER}\n"
        f"admin_password = {configuration.passwords['mlflow']}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "auth_cache_ttl_seconds = 60\n",
    )
    options = ["--app-name", "basic-auth", "--host", HOST, "--port", str(port), "--workers", "1"]
    stores = [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "artifacts"),
    ]
    return Service(
        name="mlflow",
        command=[virtual_environment_binary("mlflow"), "server", *options, *stores],
        environment={
            **NO_TELEMETRY,
            "MLFLOW_AUTH_CONFIG_PATH": str(settings),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": configuration.passwords["flask"],
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        is_healthy=lambda: is_healthy(configuration),
        health_seconds=240,
    )


def url(configuration: Configuration) -> str:
    """Address of the server, without credentials."""
    return f"http://{HOST}:{configuration.ports['mlflow']}"


def page(configuration: Configuration) -> str:
    """Where a person begins: the experiments of training, for MLflow itself opens among those of language models."""
    return f"{url(configuration)}/#/experiments?workflowType=machine_learning"


def is_healthy(configuration: Configuration) -> bool:
    """Whether it serves those who have the password."""
    login = (USER, configuration.passwords["mlflow"])
    return loopback.opens_to_us_only(f"{url(configuration)}/api/2.0/mlflow/users/current", auth=login)
