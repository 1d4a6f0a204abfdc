"""What became of each release, in the cold store: one row a release and run, however often a step is tried."""

from dataclasses import asdict, dataclass
from enum import StrEnum

from shelfcast.cold_store.cold_store import ColdStore
from shelfcast.deployment.bundle import cutoff_of


class ReleaseOutcome(StrEnum):
    """How a release ended."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, kw_only=True)
class ReleaseEntry:
    """A row of `OPERATIONS.RELEASES`.

    Attributes:
        release_id: The release.
        run_id: Airflow run that tried it.
        model: Name of the model.
        version: Its version in the registry.
        mlflow_run_id: MLflow run that holds the candidate.
        previous: Release that served before; `None` if there was none.
        outcome: What became of it.
        reason: Why, in a sentence.
    """

    release_id: str
    run_id: str
    model: str
    version: str
    mlflow_run_id: str
    previous: str | None
    outcome: ReleaseOutcome
    reason: str


def record(store: ColdStore, entry: ReleaseEntry) -> None:
    """Writes the row; one of the same release and run is replaced. Raises `BundleError` if this is no release id."""
    values = {**asdict(entry), "outcome": entry.outcome.value, "cutoff": cutoff_of(entry.release_id)}
    store.run("deployment/create_releases")
    with store.transaction():
        store.run("deployment/delete_release", values)
        store.run("deployment/insert_release", values)
