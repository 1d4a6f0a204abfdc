"""A candidate as Weights & Biases gets it: what is said of it, its pictures and its model, and none of its rows."""

import math
from pathlib import Path
from typing import Any

from shelfcast.model.candidate import CALIBRATION, DECLARATION, MODELS, PICTURES, REPORT, Candidate
from shelfcast_provider.code_version import code_version
from shelfcast_provider.registry.candidate_run import numbers, origin, parameters

FILES = (*MODELS, CALIBRATION, DECLARATION)


def describe(mlflow_run_id: str, name: str, model: str, folder: Path) -> dict[str, Any]:
    """What `wandb_run.write` is to write, of a candidate's folder.

    The run has the id of the MLflow run, so that a retry finds it.
    """
    candidate = Candidate.read(folder)
    traced = {**origin(candidate), "model": model, "code_version": code_version(), "mlflow_run_id": mlflow_run_id}
    return {
        "id": mlflow_run_id,
        "name": name,
        "model": model,
        "config": {**parameters(candidate), **traced},
        "summary": _finite(numbers(candidate.metrics)),
        "folds": [_finite(fold["metrics"]) for fold in candidate.folds],
        "pictures": [str(path) for path in sorted((folder / REPORT / PICTURES).glob("*.png"))],
        "files": [str(folder / file) for file in FILES],
    }


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
