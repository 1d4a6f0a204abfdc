"""The training job, as it is submitted."""

from shelfcast.model.candidate import FOLDER, WRITTEN_LAST
from shelfcast.spark_job import SparkJob


def training_job(*, frame: str, releases: str, code_version: str) -> SparkJob:
    """Trains on a frozen frame.

    Args:
        frame: URI of the training run's folder; the candidate is written below it.
        releases: URI of the model's releases.
        code_version: Of the code that trains, for the model card.
    """
    candidate = f"{frame}/{FOLDER}"
    return SparkJob(
        entry_point="training/training_job.py",
        arguments=("--frame", frame, "--out", candidate, "--releases", releases, "--code-version", code_version),
        inputs=(frame, releases),
        outputs=(candidate,),
        written_last=f"{candidate}/{WRITTEN_LAST}",
    )
