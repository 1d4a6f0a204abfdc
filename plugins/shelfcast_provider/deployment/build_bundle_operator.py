"""Makes a release of a candidate."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from shelfcast.errors import BundleError
from shelfcast.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from shelfcast.storage import Location


def releases_folder(model: str) -> "Location":
    """Folder of a model's releases."""
    return Settings.from_environment().artifacts / "releases" / model


class BuildBundleOperator(BaseOperator):
    """Makes a release bundle of the candidate's files.

    Args:
        model: Name of the model.
        mlflow_run_id: Run that holds them (templated).

    Returns:
        `release_id`; the same files give the same one.
    """

    template_fields: Sequence[str] = ("mlflow_run_id",)

    def __init__(self, *, model: str, mlflow_run_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.mlflow_run_id = mlflow_run_id

    def execute(self, context: "Context") -> dict[str, str]:
        """Downloads the files, tries the model in a process of its own, builds the bundle and loads it once."""
        import tempfile

        from shelfcast.deployment.build_bundle import build
        from shelfcast.model.candidate import FOLDER
        from shelfcast_provider.registry.mlflow_hook import MLflowHook

        releases = releases_folder(self.model)
        hook = MLflowHook()
        with tempfile.TemporaryDirectory() as folder:
            parts = Path(hook.download(self.mlflow_run_id, FOLDER, folder))
            try:
                release_id = build(parts, releases)
            except BundleError as error:
                raise AirflowFailException(str(error)) from error
        if not release_id.startswith(f"{self.model}-"):
            raise AirflowFailException(
                f"The MLflow run {self.mlflow_run_id} holds a candidate of another model: {release_id} is no release of "
                f"{self.model}. Point the alias candidate of {self.model} at one of its own versions."
            )
        self.log.info("Built %s in %s of the candidate at %s.", release_id, releases, hook.run_url(self.mlflow_run_id))
        return {"release_id": release_id}
