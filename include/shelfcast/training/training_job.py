"""Spark entry point: fits each fold and the final model in barrier mode, measures, and writes what a candidate is.

    spark-submit training_job.py --frame FOLDER --out FOLDER [--releases FOLDER] [--seed N]

Spark schedules the workers together (one on one machine, one for each slot of a cluster), tells them each other's
addresses and tries the stage again when one is lost; LightGBM's own collectives reduce the histograms between them, so
that all hold the same trees.
"""

import argparse
import json
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark import BarrierTaskContext, SparkContext
from pyspark.sql import SparkSession

from shelfcast.errors import TrainingError
from shelfcast.only_one import only_one
from shelfcast.training import declaration as declarations
from shelfcast.training.baselines import learned_forecasts
from shelfcast.training.calibration import calibrate
from shelfcast.training.declaration import ModelDeclaration
from shelfcast.training.evaluation import ChampionState, evaluate, fold_rows
from shelfcast.training.fit import Sample, feature_names, parameters, predict, train
from shelfcast.training.folds import Booleans, folds_of
from shelfcast.training.frame import FRAME, FrameManifest, columns_of, countable, verify
from shelfcast.training.rows import Floats, model_features

APPLICATION = "shelfcast.training"
LOCK = "training.lock"
COLLECTIVE_MINUTES = 5
"""How long a worker waits for the others before it gives up."""
REFERENCE_ROWS = 200_000
"""Rows, roughly, that the boundaries of bins are taken from, as many as LightGBM itself samples."""


def main() -> None:
    """Reads the command line and runs the job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frame", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--releases", type=Path, default=None, help="the model's releases; the one that serves is the champion"
    )
    parser.add_argument("--workers", type=int, default=None, help="one a machine unless told")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with only_one(options.frame / LOCK):
        spark = SparkSession.builder.appName(APPLICATION).getOrCreate()
        crew = crew_of(spark.sparkContext, options.workers)
        run(spark.sparkContext, options.frame, options.out, options.releases, crew=crew, seed=options.seed)
        spark.stop()


@dataclass(frozen=True, kw_only=True)
class Crew:
    """How a model is fitted.

    Attributes:
        workers: Barrier tasks that run at the same time and exchange histograms, 1 or more.
        num_threads: Threads of each.
    """

    workers: int
    num_threads: int


def crew_of(context: SparkContext, workers: int | None) -> Crew:
    """One worker with all threads where all slots are of one machine, otherwise one for each slot.

    LightGBM's workers listen on every address of their machine, for whoever calls first. One machine needs no network.

    Raises:
        TrainingError: There are fewer slots than `workers`.
    """
    slots, is_one_machine = context.defaultParallelism, str(context.master).startswith("local")
    wanted = workers or (1 if is_one_machine else slots)
    if slots < wanted:
        raise TrainingError(
            f"Training needs {wanted} slots at once, the cluster has {slots}. Give the application more cores, or ask for "
            "fewer --workers."
        )
    return Crew(workers=wanted, num_threads=max(1, slots // wanted) if is_one_machine else 1)


def run(context: SparkContext, folder: Path, out: Path, releases: Path | None, *, crew: Crew, seed: int = 7) -> None:
    """Trains on the frozen frame in `folder` and writes the candidate's files to `out`."""
    manifest = verify(folder)
    declaration = declarations.load(manifest.model)
    state, champion = champion_of(releases, declaration)
    frame = pd.read_parquet(folder / FRAME)
    counted = countable(frame)

    def fitted(origin: str | None) -> str:
        return train_on_cluster(context, folder, origin, crew=crew, seed=seed)

    parts = []
    for number, fold in enumerate(folds_of(frame, declaration, manifest)):
        text = fitted(str(fold.origin))
        learned = _learned(frame, fold.train & counted, fold.test & counted, declaration, seed)
        parts.append(_measured(frame[fold.test & counted], text, champion, declaration, number, learned))
        print(f"fold {number + 1} of {manifest.folds}: origin {fold.origin}, {len(parts[-1])} rows", flush=True)  # noqa: T201
    rows = pd.concat(parts, ignore_index=True)
    write_candidate(out, fitted(None), rows, declaration, manifest, champion=state, seed=seed)


def champion_of(releases: Path | None, declaration: ModelDeclaration) -> tuple[ChampionState, str | None]:
    """Whether there is a champion to measure beside the candidate, and its model text if so.

    The champion was trained on some of the days that it is measured on here, which flatters it, never the candidate.
    """
    path = releases / "current.json" if releases else None
    current = json.loads(path.read_text())["current"] if path and path.exists() else None
    if releases is None or current is None:
        return ChampionState.NONE, None
    text = (releases / str(current) / "model.txt").read_text()
    is_comparable = feature_names(text) == model_features(declaration)
    return (ChampionState.COMPARED, text) if is_comparable else (ChampionState.NOT_COMPARABLE, None)


def train_on_cluster(context: SparkContext, folder: Path, origin: str | None, *, crew: Crew, seed: int) -> str:
    """Fits one model on barrier tasks; answers its text.

    Args:
        context: Of the application.
        folder: Of the frozen frame, readable by every worker.
        origin: Of the fold; `None` for all rows.
        crew: How many tasks, and their threads.
        seed: Of the fit.
    """
    tasks = (
        context.parallelize(range(crew.workers), crew.workers)
        .barrier()
        .mapPartitions(_worker(str(folder), origin, crew, seed))
    )
    # the exchange behind the barrier makes its stage one that Spark can run again
    texts = [text for text in tasks.repartition(1).collect() if text]
    if len(texts) != 1:
        raise TrainingError(
            f"{len(texts)} workers answered a model, expected the first one only; nothing was registered."
        )
    return texts[0]


def _worker(folder: str, origin: str | None, crew: Crew, seed: int) -> Callable[[Iterable[int]], Iterator[str]]:
    """What each barrier task does; everything it needs travels by value."""

    def task(_: Iterable[int]) -> Iterator[str]:
        context = BarrierTaskContext.get()
        rank = context.partitionId()
        declaration, sample, reference = _share(Path(folder), origin, rank, crew.workers)
        with socket.socket() as held:
            held.bind(("", 0))
            own = {"host": _host(context, rank), "port": held.getsockname()[1], "rows": len(sample.target)}
            peers = [json.loads(text) for text in context.allGather(json.dumps(own))]
        if min(peer["rows"] for peer in peers) == 0:
            raise TrainingError("A worker has no rows; the frame is too small for that many workers.")
        settings: dict[str, Any] = parameters(declaration, seed=seed, num_threads=crew.num_threads)
        if crew.workers > 1:
            settings |= {
                "tree_learner": "data",
                "pre_partition": True,
                "num_machines": crew.workers,
                "machines": ",".join(f"{peer['host']}:{peer['port']}" for peer in peers),
                "local_listen_port": own["port"],
                "time_out": COLLECTIVE_MINUTES,
            }
        text = train(sample, declaration, settings=settings, reference=reference)
        context.barrier()
        yield text if rank == 0 else ""

    return task


def _share(folder: Path, origin: str | None, rank: int, workers: int) -> tuple[ModelDeclaration, Sample, Sample]:
    """A worker's rows, every `workers`-th one so that all shares look alike, and the rows that all cut their bins by."""
    manifest = verify(folder)
    declaration = declarations.load(manifest.model)
    frame = pd.read_parquet(folder / FRAME)
    chosen = countable(frame)
    if origin is not None:
        (fold,) = [fold for fold in folds_of(frame, declaration, manifest) if str(fold.origin) == origin]
        chosen &= fold.train
    rows = frame[chosen]
    own = Sample.of(columns_of(rows.iloc[rank::workers]), declaration)
    every = len(rows) // REFERENCE_ROWS + 1
    return declaration, own, Sample.of(columns_of(rows.iloc[::every]), declaration)


def _host(context: BarrierTaskContext, rank: int) -> str:
    name = context.getTaskInfos()[rank].address.split(":")[0]
    return socket.gethostbyname(name)


def _learned(
    frame: pd.DataFrame, train: Booleans, test: Booleans, declaration: ModelDeclaration, seed: int
) -> dict[str, Floats]:
    if declaration.kind == "forecast":  # spares the rows of a frame that no simple method learns from
        return {}
    known, asked = (Sample.of(columns_of(frame[chosen]), declaration) for chosen in (train, test))
    return learned_forecasts(known, asked, declaration, seed=seed)


def _measured(
    frame: pd.DataFrame,
    text: str,
    champion: str | None,
    declaration: ModelDeclaration,
    fold: int,
    learned: dict[str, Floats],
) -> pd.DataFrame:
    sample = Sample.of(columns_of(frame), declaration)
    mean = predict(text, sample.rows, sample.expected, declaration)
    other = predict(champion, sample.rows, sample.expected, declaration) if champion else None
    return fold_rows(frame, mean, other, declaration, fold, learned=learned)


def write_candidate(
    out: Path,
    text: str,
    rows: pd.DataFrame,
    declaration: ModelDeclaration,
    manifest: FrameManifest,
    *,
    champion: ChampionState,
    seed: int,
) -> None:
    """Writes model, calibration, fold forecasts, metrics and what they were made from; `training.json` comes last."""
    out.mkdir(parents=True, exist_ok=True)
    horizon = rows["horizon_days"].to_numpy(float) if "horizon_days" in rows else np.ones(len(rows))
    actual, mean = rows["actual"].to_numpy(float), np.maximum(rows["mean"].to_numpy(float), 1e-6)

    def calibrated(kept: Any) -> Any:
        return calibrate(actual[kept], mean[kept], horizon[kept], declaration.quantiles)

    folds = sorted(rows["fold"].unique())
    others = {fold: calibrated((rows["fold"] != fold).to_numpy() if len(folds) > 1 else slice(None)) for fold in folds}
    measured = evaluate(rows, others, declaration)
    (out / "model.txt").write_text(text)
    (out / "declaration.yaml").write_text((declarations.MODELS_FOLDER / f"{declaration.name}.yaml").read_text())
    (out / "calibration.json").write_text(calibrated(slice(None)).to_json())
    rows.to_parquet(out / "fold_forecasts.parquet", index=False)
    (out / "metrics.json").write_text(json.dumps(measured.as_dict(), indent=1))
    about = {"model": declaration.name, "cutoff": manifest.cutoff, "frame_digest": manifest.digest, "seed": seed}
    about |= {
        "horizon_days": manifest.horizon_days,
        "rows": manifest.rows,
        "reason": manifest.reason,
        "is_forced": manifest.is_forced,
        "champion": champion.value,
    }
    (out / "training.json").write_text(json.dumps(about, indent=1))


if __name__ == "__main__":
    main()
