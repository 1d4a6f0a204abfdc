"""Lets a release serve, and takes it back if it does not answer as it should."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from shelfcast.errors import ReleaseError
from shelfcast_provider.connections import COLD_STORE
from shelfcast_provider.deployment.build_bundle_operator import releases_folder

if TYPE_CHECKING:
    from airflow.sdk import Context


class SwapReleaseOperator(BaseOperator):
    """Points at a release, waits until the forecaster serves it, and probes it; takes it back if a probe fails.

    Args:
        model: Name of the model.
        release_id: The release (templated).
        version: Its version in the registry (templated).
        mlflow_run_id: Run that holds the candidate (templated).
        connection_id: The cold store, where a release that was taken back is recorded.

    Returns:
        `release_id`, the `previous` one, and the number of `probes`.
    """

    template_fields: Sequence[str] = ("release_id", "version", "mlflow_run_id")

    def __init__(
        self,
        *,
        model: str,
        release_id: str,
        version: str,
        mlflow_run_id: str,
        connection_id: str = COLD_STORE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.release_id = release_id
        self.version = version
        self.mlflow_run_id = mlflow_run_id
        self.connection_id = connection_id

    def execute(self, context: "Context") -> dict[str, Any]:
        """Swaps, follows, probes; a release that fails serves no longer than the probe took."""
        from shelfcast.deployment import pointer
        from shelfcast_provider.deployment.release_probe import probe, wait_until_it_serves

        releases = releases_folder(self.model)
        try:
            pointer.read(releases)
        except ReleaseError as error:  # nothing was moved yet, and no retry mends a file
            raise AirflowFailException(str(error)) from error
        try:
            before = pointer.swap(releases, self.release_id).previous
            wait_until_it_serves(self.model, self.release_id)
            probes = probe(releases / self.release_id)
        except BaseException as error:  # a timeout or a kill leaves no release that was not probed
            now = pointer.roll_back(releases, self.release_id).current
            if not isinstance(error, Exception):
                raise
            self._record_return(context, previous=now, reason=str(error))
            text = f"{self.release_id} was taken back, {now or 'no release'} serves now: {error}"
            raise AirflowFailException(text) from error
        self.log.info(
            "Pointed at %s in place of %s; the forecaster followed, and %s of its answers were the release's own.",
            self.release_id, before or "no release", probes,
        )  # fmt: skip
        return {"release_id": self.release_id, "previous": before, "probes": probes}

    def on_kill(self) -> None:
        """Takes the release back: Airflow ends a task by this call, and a moment later by force."""
        from shelfcast.deployment import pointer

        pointer.roll_back(releases_folder(self.model), self.release_id)

    def _record_return(self, context: "Context", *, previous: str | None, reason: str) -> None:
        """Records the return; a cold store that is away must not hide why there was one."""
        from shelfcast.deployment.release_log import ReleaseEntry, ReleaseOutcome, record
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

        entry = ReleaseEntry(
            release_id=self.release_id,
            run_id=context["run_id"],
            model=self.model,
            version=self.version,
            mlflow_run_id=self.mlflow_run_id,
            previous=previous,
            outcome=ReleaseOutcome.ROLLED_BACK,
            reason=reason,
        )
        try:
            with ColdStoreHook(self.connection_id) as store:
                record(store, entry)
        except Exception:
            self.log.exception("%s was taken back; OPERATIONS.RELEASES could not be told", self.release_id)
