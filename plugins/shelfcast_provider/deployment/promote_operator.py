"""Makes the release that serves the champion."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from shelfcast.errors import PostConditionFailed, ReleaseError
from shelfcast_provider.connections import COLD_STORE
from shelfcast_provider.deployment.build_bundle_operator import releases_folder

if TYPE_CHECKING:
    from airflow.sdk import Context


class PromoteOperator(BaseOperator):
    """Makes a release's version the champion in MLflow and records the release in `OPERATIONS.RELEASES`.

    Args:
        model: Name of the model.
        release_id: The release that serves (templated).
        version: Version in the registry (templated).
        mlflow_run_id: Run that holds the candidate (templated).
        reason: Why it was released (templated).
        connection_id: The cold store.

    Returns:
        The version.
    """

    template_fields: Sequence[str] = ("release_id", "version", "mlflow_run_id", "reason")

    def __init__(
        self,
        *,
        model: str,
        release_id: str,
        version: str,
        mlflow_run_id: str,
        reason: str,
        connection_id: str = COLD_STORE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.release_id = release_id
        self.version = version
        self.mlflow_run_id = mlflow_run_id
        self.reason = reason
        self.connection_id = connection_id

    def execute(self, context: "Context") -> str:
        """Moves the alias `champion`, sees that it moved, and records the release."""
        from shelfcast.deployment import pointer
        from shelfcast_provider.registry.mlflow_hook import CHAMPION, MLflowHook

        try:
            serving = pointer.read(releases_folder(self.model))
        except ReleaseError as error:
            raise AirflowFailException(str(error)) from error
        if serving.current != self.release_id:
            raise AirflowFailException(
                f"{serving.current or 'No release'} serves, not {self.release_id}: it was taken back or followed by another "
                "since, and is not made the champion. Clear this run from its task bundle on to release it again."
            )
        hook = MLflowHook()
        hook.set_alias(self.model, CHAMPION, self.version)
        found = hook.version(self.model, CHAMPION)
        if found is None or str(found.version) != self.version:
            raise PostConditionFailed(
                f"The champion of {self.model} is {found and found.version}, not version {self.version}. Clear this task."
            )
        self._record(context, previous=serving.previous)
        self.log.info(
            "Made version %s the champion of %s: %s followed %s. The gate's reason: %s.",
            self.version, self.model, self.release_id, serving.previous or "no release", self.reason,
        )  # fmt: skip
        return self.version

    def _record(self, context: "Context", *, previous: str | None) -> None:
        from shelfcast.deployment.release_log import ReleaseEntry, ReleaseOutcome, record
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

        entry = ReleaseEntry(
            release_id=self.release_id,
            run_id=context["run_id"],
            model=self.model,
            version=self.version,
            mlflow_run_id=self.mlflow_run_id,
            previous=previous,
            outcome=ReleaseOutcome.PROMOTED,
            reason=self.reason,
        )
        with ColdStoreHook(self.connection_id) as store:
            record(store, entry)
