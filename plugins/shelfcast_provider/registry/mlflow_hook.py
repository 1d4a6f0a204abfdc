"""MLflow: runs, the registry's aliases and artifacts."""

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from shelfcast_provider.connections import MLFLOW, check_extras

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CANDIDATE, CHAMPION = "candidate", "champion"
SECONDS_A_DAY = 24 * 60 * 60
KIND = ("mlflow.experimentKind", "custom_model_development")
"""Makes the UI show training runs; it takes an experiment for one of language models otherwise."""
WORKFLOW = "?workflowType=machine_learning"
"""Opens a page among those of training; without it MLflow opens where the browser was last, at first in GenAI."""


class MLflowHook(BaseHook):
    """Talks to one MLflow server.

    Args:
        connection_id: Connection with `schema` (http or https), `host`, `port`, `login` and `password`.
    """

    conn_name_attr = "connection_id"
    default_conn_name = MLFLOW
    conn_type = "shelfcast_mlflow"
    hook_name = "Shelfcast MLflow"

    def __init__(self, connection_id: str = MLFLOW) -> None:
        super().__init__()
        self.connection = self.get_connection(connection_id)
        check_extras(MLFLOW, self.connection.extra_dejson)
        self.url = f"{self.connection.schema or 'http'}://{self.connection.host}:{self.connection.port or 5000}"
        self._client: MlflowClient | None = None

    def get_conn(self) -> "MlflowClient":
        """The client; credentials go into this process' environment, where MLflow looks for them.

        What MLflow writes to stderr stands in a task's log as an error: its progress bars and its INFO lines are turned off.
        """
        if self._client is None:
            import logging
            import os

            import mlflow

            os.environ["MLFLOW_TRACKING_USERNAME"] = self.connection.login or ""
            os.environ["MLFLOW_TRACKING_PASSWORD"] = self.connection.password or ""
            os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
            os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
            os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # its links lack what `WORKFLOW` is for
            logging.getLogger("mlflow").setLevel(logging.WARNING)
            mlflow.set_tracking_uri(self.url)
            self._client = mlflow.MlflowClient(tracking_uri=self.url, registry_uri=self.url)
        return self._client

    @contextmanager
    def run_for(self, model: str, airflow_run_id: str) -> "Iterator[str]":
        """A run that belongs to an Airflow run: found again by a retry. Yields its id; failed runs are marked so."""
        import mlflow

        client = self.get_conn()
        experiment = mlflow.set_experiment(f"shelfcast/{model}")
        mlflow.set_experiment_tag(*KIND)
        where = f"tags.airflow_run_id = '{airflow_run_id.replace(chr(39), '')}'"
        found = client.search_runs([experiment.experiment_id], where, max_results=1)
        run_id = found[0].info.run_id if found else None
        tags = {"airflow_run_id": airflow_run_id.replace("'", "")}
        with mlflow.start_run(run_id=run_id, run_name=airflow_run_id, tags=tags) as run:
            yield run.info.run_id

    def log_part(
        self,
        run_id: str,
        name: str,
        metrics: "Mapping[str, float]",
        tags: dict[str, str],
        params: "Mapping[str, object] | None" = None,
    ) -> str:
        """Writes a finished run nested in another one; a retry finds the one of this name. Answers its id.

        Metrics that are not finite are left out.
        """
        from mlflow.entities import Metric, Param

        client = self.get_conn()
        parent = client.get_run(run_id).info
        where = f"tags.`mlflow.parentRunId` = '{run_id}' and attributes.run_name = '{name}'"
        found = client.search_runs([parent.experiment_id], where, max_results=1)
        nested = {**tags, "mlflow.parentRunId": run_id}
        run = found[0] if found else client.create_run(parent.experiment_id, run_name=name, tags=nested)
        # the time of the run, so that a retry writes the same points and no second ones
        at = run.info.start_time
        points = [Metric(key, value, at, 0) for key, value in metrics.items() if math.isfinite(value)]
        given = [Param(key, str(value)) for key, value in (params or {}).items()]
        client.log_batch(run.info.run_id, metrics=points, params=given)
        client.set_terminated(run.info.run_id)
        return str(run.info.run_id)

    def log_day(self, run_id: str, day: "date", metrics: "Mapping[str, float]") -> None:
        """Writes a date's metrics into a run, at that date whenever it is written: a second time adds no second point."""
        from datetime import UTC, datetime, time

        from mlflow.entities import Metric

        at = int(datetime.combine(day, time(), UTC).timestamp())
        points = [Metric(name, value, at * 1000, at // SECONDS_A_DAY) for name, value in metrics.items()]
        self.get_conn().log_batch(run_id, metrics=points)

    def version(self, model: str, alias: str) -> "ModelVersion | None":
        """The version that an alias names; `None` if there is none."""
        from mlflow.exceptions import MlflowException

        try:
            return self.get_conn().get_model_version_by_alias(model, alias)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def register(self, model: str, run_id: str, tags: dict[str, str]) -> str:
        """Makes the run's model a version and the candidate; a retry finds the version it made. Answers the version."""
        from mlflow.exceptions import MlflowException

        client = self.get_conn()
        try:
            client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = [version for version in client.search_model_versions(f"name = '{model}'") if version.run_id == run_id]
        source = f"{client.get_run(run_id).info.artifact_uri}/candidate"
        version = found[0] if found else client.create_model_version(model, source, run_id=run_id, tags=tags)
        client.set_registered_model_alias(model, CANDIDATE, version.version)
        return str(version.version)

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Points an alias at a version."""
        self.get_conn().set_registered_model_alias(model, alias, version)

    def download(self, run_id: str, path: str, folder: str) -> str:
        """Fetches a folder of artifacts; answers where it lies."""
        import mlflow

        self.get_conn()
        return str(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path=folder))

    def run_url(self, run_id: str) -> str:
        """Address of the run's page."""
        return self._page(run_id)

    def artifact_url(self, run_id: str, path: str) -> str:
        """Address of the page that shows one of the run's artifacts."""
        return self._page(run_id, f"/artifacts/{path}")

    def _page(self, run_id: str, part: str = "") -> str:
        experiment = self.get_conn().get_run(run_id).info.experiment_id
        return f"{self.url}/#/experiments/{experiment}/runs/{run_id}{part}{WORKFLOW}"
