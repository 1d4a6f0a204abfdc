"""A candidate as an MLflow run: all that it takes to judge it, load it and make it again is in the run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shelfcast_provider.code_version import code_version

if TYPE_CHECKING:
    from shelfcast.model.candidate import Candidate
    from shelfcast.model.declaration import ModelDeclaration
    from shelfcast_provider.registry.mlflow_hook import MLflowHook


def log_candidate(hook: "MLflowHook", run_id: str, folder: Path) -> None:
    """Writes a candidate into the active MLflow run; a second time changes nothing.

    Args:
        hook: Of the MLflow server.
        run_id: The active run.
        folder: Of the candidate.
    """
    from shelfcast.model.candidate import Candidate

    candidate = Candidate.read(folder)
    _log_facts(candidate)
    _log_folds(hook, run_id, candidate.folds)
    _log_trials(hook, run_id, candidate.trials)
    _log_files(run_id, candidate.model.declaration, folder)


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


def _log_facts(candidate: "Candidate") -> None:
    import mlflow

    mlflow.log_params(parameters(candidate))
    mlflow.log_metrics(numbers(candidate.metrics))
    mlflow.set_tags({**origin(candidate), "code_version": code_version()})
    mlflow.log_dict({"features": list(candidate.model.declaration.feature_names)}, "features.json")


def _log_folds(hook: "MLflowHook", run_id: str, folds: Sequence[Mapping[str, Any]]) -> None:
    """A nested run a fold, named by its origin."""
    for fold in folds:
        origin = f", origin {fold['origin']}" if fold["origin"] else ""
        hook.log_part(run_id, f"fold {fold['number']}{origin}", fold["metrics"], {"fold": str(fold["number"])})


def _log_trials(hook: "MLflowHook", run_id: str, trials: Sequence[Mapping[str, Any]]) -> None:
    """A nested run for each trial of a search, if there was one."""
    for trial in trials:
        losses = {f"loss_of_{number}_folds": loss for number, loss in enumerate(trial["losses"], start=1)}
        tags = {"trial": str(trial["number"]), "is_pruned": str(trial["is_pruned"])}
        hook.log_part(run_id, f"trial {trial['number']}", losses, tags, trial["parameters"])


def _log_files(run_id: str, declaration: "ModelDeclaration", folder: Path) -> None:
    """The candidate's parts below its name, what people read at the top of the run."""
    import mlflow

    from shelfcast.model.candidate import FOLDER, REPORT

    for part in sorted(path for path in folder.iterdir() if path.is_file()):
        mlflow.log_artifact(str(part), FOLDER)
    mlflow.log_text(_model_file(run_id, declaration).to_yaml(), f"{FOLDER}/MLmodel")
    if (folder / REPORT).exists():
        mlflow.log_artifacts(str(folder / REPORT))


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
