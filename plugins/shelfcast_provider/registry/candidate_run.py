"""A candidate as an MLflow run: all that it takes to judge it, load it and make it again is in the run."""

import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from shelfcast.model.candidate import Candidate, TrainingRecord
    from shelfcast.model.declaration import ModelDeclaration
    from shelfcast_provider.registry.mlflow_hook import MLflowHook

PICTURES = "plots"
FRAME_FOLDER = "frame"


def log_candidate(hook: "MLflowHook", run_id: str, folder: Path, *, uri: str) -> None:
    """Writes what a training run has left into the active MLflow run; a second time changes nothing.

    Args:
        hook: Of the MLflow server.
        run_id: The active run.
        folder: Of the training run, with the frozen frame and `candidate/`.
        uri: Where that folder is kept.
    """
    import pandas as pd

    from shelfcast.model.candidate import FOLD_FORECASTS, FOLDER, Candidate
    from shelfcast.training.frame import FRAME

    candidate = Candidate.read(folder / FOLDER)
    frame = pd.read_parquet(folder / FRAME)
    rows = pd.read_parquet(folder / FOLDER / FOLD_FORECASTS)
    code = code_version()
    _log_facts(candidate, code)
    _log_frame(frame, candidate.record, folder, uri=uri)
    _log_folds(hook, run_id, rows)
    _log_trials(hook, run_id, candidate.trials)
    _log_files(run_id, candidate.model.declaration, folder)
    _log_pictures_and_card(frame, rows, candidate, folder, code=code)


def code_version() -> str:
    """Commit of the checkout that runs, with a + if files differ from it; the package's version outside a checkout."""
    root = Path(__file__).resolve().parents[3]
    asked = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        found = None
    is_known = (root / ".git").exists() and found is not None and found.returncode == 0
    return found.stdout.strip() if is_known and found else f"shelfcast {version('shelfcast')}"


def parameters(candidate: "Candidate") -> dict[str, Any]:
    """What a candidate was fitted with."""
    record, fit = candidate.record, candidate.model.declaration.fit
    return {**fit.model_dump(), "seed": record.seed, "cutoff": record.cutoff.isoformat()}


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Those of the metrics that are numbers."""
    return {name: value for name, value in metrics.items() if isinstance(value, int | float)}


def origin(candidate: "Candidate") -> dict[str, Any]:
    """What a candidate was made of and why."""
    record = candidate.record
    return {"frame_digest": record.frame_digest, "reason": record.reason, "level": candidate.metrics["level"]}


def _log_facts(candidate: "Candidate", code: str) -> None:
    import mlflow

    mlflow.log_params(parameters(candidate))
    mlflow.log_metrics(numbers(candidate.metrics))
    mlflow.set_tags({**origin(candidate), "code_version": code})
    mlflow.log_dict({"features": list(candidate.model.declaration.feature_names)}, "features.json")


def _log_frame(frame: "pd.DataFrame", record: "TrainingRecord", folder: Path, *, uri: str) -> None:
    """The frozen frame as the run's input: its name, schema, size and digest, and what it is found again by; not its rows."""
    import mlflow

    from shelfcast.training.dvc_pointer import point_at
    from shelfcast.training.frame import FRAME, MANIFEST

    source = mlflow.data.pandas_dataset.from_pandas(
        frame, source=f"{uri}/{FRAME}", name=f"{record.model}_frame", digest=record.frame_digest[:32]
    )
    mlflow.log_input(source, context="training")
    for path in (folder / MANIFEST, point_at(folder / FRAME)):
        mlflow.log_artifact(str(path), FRAME_FOLDER)


def _log_folds(hook: "MLflowHook", run_id: str, rows: "pd.DataFrame") -> None:
    """A nested run a fold, named by its origin."""
    from shelfcast.training.evaluation import by_fold

    for fold, metrics in by_fold(rows).items():
        own = rows[rows["fold"] == fold]
        origin = f", origin {own['business_date'].iloc[0]}" if "business_date" in own else ""
        hook.log_part(run_id, f"fold {fold}{origin}", metrics, {"fold": str(fold)})


def _log_trials(hook: "MLflowHook", run_id: str, trials: "Sequence[Mapping[str, Any]]") -> None:
    """A nested run for each trial of a search, if there was one."""
    for trial in trials:
        losses = {f"loss_of_{number}_folds": loss for number, loss in enumerate(trial["losses"], start=1)}
        tags = {"trial": str(trial["number"]), "is_pruned": str(trial["is_pruned"])}
        hook.log_part(run_id, f"trial {trial['number']}", losses, tags, trial["parameters"])


def _log_files(run_id: str, declaration: "ModelDeclaration", folder: Path) -> None:
    import mlflow

    from shelfcast.model.candidate import FOLDER

    mlflow.log_artifacts(str(folder / FOLDER), FOLDER)
    mlflow.log_text(_model_file(run_id, declaration).to_yaml(), f"{FOLDER}/MLmodel")


def _model_file(run_id: str, declaration: "ModelDeclaration") -> Any:
    """What MLflow reads to load the candidate: LightGBM's native text and its signature; there is nothing to unpickle."""
    import lightgbm
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    from shelfcast.model.candidate import FOLDER, MEAN

    inputs = Schema([ColSpec(DataType.double, name) for name in declaration.feature_names])
    signature = ModelSignature(inputs=inputs, outputs=Schema([ColSpec(DataType.double)]))
    model = Model(artifact_path=FOLDER, run_id=run_id, signature=signature)
    model.add_flavor(
        "lightgbm",
        lgb_version=lightgbm.__version__,
        data=MEAN,
        model_class="lightgbm.basic.Booster",
    )
    model.add_flavor("python_function", loader_module="mlflow.lightgbm")
    return model


def _log_pictures_and_card(
    frame: "pd.DataFrame", rows: "pd.DataFrame", candidate: "Candidate", folder: Path, *, code: str
) -> None:
    import mlflow

    from shelfcast.training.folds import held_out
    from shelfcast.training.frame import verify
    from shelfcast.training.report import model_card
    from shelfcast.training.report.explanation import explain, gains, summary
    from shelfcast.training.report.plots import draw, draw_explanation

    text, declaration = candidate.model.mean_text, candidate.model.declaration
    explained = explain(text, held_out(frame, declaration, verify(folder)), declaration, seed=candidate.record.seed)
    weights = summary(explained)
    pictures = folder / PICTURES
    draw(rows, pictures)
    draw_explanation(explained, gains(text), pictures)
    mlflow.log_artifacts(str(pictures), PICTURES)
    mlflow.log_text(weights.to_csv(index=False), "shap_summary.csv")
    for card in model_card.write(folder, pictures, code_version=code, weights=weights):
        mlflow.log_artifact(str(card))
