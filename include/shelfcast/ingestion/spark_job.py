"""The landing job, as it is submitted."""

from shelfcast.ingestion.batch import BATCH
from shelfcast.spark_job import SparkJob


def landing_job(*, landing: str, generation: str, after_drain: str, batch_id: str, export: str) -> SparkJob:
    """Lands the change files that wait, and exports what is new of the change log.

    Args:
        landing: URI of the landing area.
        generation: Of the changes.
        after_drain: Last drain that is loaded.
        batch_id: Name of the batch.
        export: URI of the batch's folder.
    """
    told = {
        "landing": landing,
        "generation": generation,
        "after-drain": after_drain,
        "batch-id": batch_id,
        "export": export,
    }
    return SparkJob(
        entry_point="ingestion/landing_job.py",
        arguments=tuple(part for name, value in told.items() for part in (f"--{name}", value)),
        inputs=(landing,),
        outputs=(landing, export),
        written_last=f"{export}/{BATCH}",
    )
