"""A candidate as Weights & Biases gets it: what is said of it, its pictures and its model, and none of its rows."""

import json
import math
from pathlib import Path
from typing import Any

from shelfcast.deployment.bundle import MODELS
from shelfcast_provider.training.candidate_run import (
    CANDIDATE_FOLDER,
    PICTURES,
    code_version,
    numbers,
    origin,
    parameters,
)

FILES = (*MODELS, "calibration.json", "declaration.yaml")


def describe(mlflow_run_id: str, name: str, model: str, folder: Path) -> dict[str, Any]:
    """What `wandb_run.write` is to write, of a training run's folder whose pictures are drawn.

    The run has the id of the MLflow run, so that a retry finds it.
    """
    import pandas as pd

    from shelfcast.training.declaration import read
    from shelfcast.training.evaluation import by_fold

    parts = folder / CANDIDATE_FOLDER
    declaration = read(parts / "declaration.yaml", name=model)
    about, metrics = (json.loads((parts / f"{part}.json").read_text()) for part in ("training", "metrics"))
    found = by_fold(pd.read_parquet(parts / "fold_forecasts.parquet"))
    traced = {**origin(about, metrics), "model": model, "code_version": code_version(), "mlflow_run_id": mlflow_run_id}
    return {
        "id": mlflow_run_id,
        "name": name,
        "model": model,
        "config": {**parameters(declaration, about), **traced},
        "summary": _finite(numbers(metrics)),
        "folds": [_finite(found[fold]) for fold in sorted(found)],
        "pictures": [str(path) for path in sorted((folder / PICTURES).glob("*.png"))],
        "files": [str(parts / file) for file in FILES],
    }


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
