"""Spark entry point: fits each fold and the final model in barrier mode, measures, and writes what a candidate is.

    spark-submit training_job.py --frame FOLDER --out FOLDER [--releases FOLDER] [--workers N] [--seed N]

A folder is a path that all machines see, or an `s3://` URI.

Spark schedules the workers together (one on one machine, one for each slot of a cluster), tells them each other's
addresses and tries the stage again when one is lost; LightGBM's own collectives reduce the histograms between them, so
that all hold the same trees. A finished fit is kept beside the frame until the candidate is written: a lost worker costs
the fit that it was in, a lost driver too, and never those before it.
"""

import argparse
import json
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
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
from shelfcast.training.crew import Crew, crew_of
from shelfcast.training.declaration import ModelDeclaration
from shelfcast.training.evaluation import ChampionState, evaluate, fold_rows
from shelfcast.training.fit import Sample, feature_names, parameters, predict, train
from shelfcast.training.folds import Booleans, folds_of
from shelfcast.training.frame import FRAME, MANIFEST, FrameManifest, columns_of, countable, verify
from shelfcast.training.kept_fits import KeptFits, what_decides
from shelfcast.training.places import is_remote, local_copy, written_to
from shelfcast.training.rows import Floats, model_features

APPLICATION = "shelfcast.training"
LOCK = "training.lock"
FRAME_FILES = (FRAME, MANIFEST)
WRITTEN_LAST = "training.json"
COLLECTIVE_MINUTES = 5
"""How long a worker waits for the others before it gives up."""
FAIL_RATHER_THAN_WAIT: dict[str, bool | float | int | str | None] = {
    # in place of a year, which is Spark's own
    "spark.barrier.sync.timeout": "900",
    # asked every 15 s, 40 times unless told
    "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "3",
}
REFERENCE_ROWS = 200_000
"""Rows, roughly, that the boundaries of bins are taken from, as many as LightGBM itself samples."""


def main() -> None:
    """Reads the command line and runs the job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frame", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--releases", default=None, help="the model's releases; the one that serves is the champion")
    parser.add_argument("--workers", type=int, default=None, help="one a machine, or a slot of a cluster, unless told")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with _alone_at(options.frame):
        spark = SparkSession.builder.appName(APPLICATION).config(map=FAIL_RATHER_THAN_WAIT).getOrCreate()
        crew = crew_of(spark.sparkContext, options.workers)
        run(spark.sparkContext, options.frame, options.out, options.releases, crew=crew, seed=options.seed)
        spark.stop()


def _alone_at(frame: str) -> AbstractContextManager[None]:
    """Waits for a job that a killed task left at work on the frame; on EMR the task takes that job up instead."""
    return nullcontext() if is_remote(frame) else only_one(Path(frame) / LOCK)


def run(context: SparkContext, place: str, out: str, releases: str | None, *, crew: Crew, seed: int = 7) -> None:
    """Trains on the frozen frame in `place` and writes the candidate's files to `out`."""
    with local_copy(place, FRAME_FILES) as folder:
        manifest, frame = verify(folder), pd.read_parquet(folder / FRAME)
    declaration = declarations.load(manifest.model)
    with local_copy(releases) if releases else nullcontext() as releases_folder:
        state, champion = champion_of(releases_folder, declaration)
    counted = countable(frame)
    layout = {"workers": crew.workers, "num_threads": crew.num_threads}
    kept = KeptFits(place, what_decides(declaration, frame_digest=manifest.digest, seed=seed, **layout))

    def fitted(origin: str | None) -> str:
        return kept.take_up_or_fit(origin, lambda: train_on_cluster(context, place, origin, crew=crew, seed=seed))

    parts = []
    for number, fold in enumerate(folds_of(frame, declaration, manifest)):
        text = fitted(str(fold.origin))
        learned = _learned(frame, fold.train & counted, fold.test & counted, declaration, seed)
        parts.append(_measured(frame[fold.test & counted], text, champion, declaration, number, learned))
        print(f"fold {number + 1} of {manifest.folds}: origin {fold.origin}, {len(parts[-1])} rows", flush=True)  # noqa: T201
    rows = pd.concat(parts, ignore_index=True)
    text = fitted(None)
    with written_to(out, last=WRITTEN_LAST) as folder:
        write_candidate(folder, text, rows, declaration, manifest, champion=state, seed=seed)
    kept.forget()


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


def train_on_cluster(context: SparkContext, place: str, origin: str | None, *, crew: Crew, seed: int) -> str:
    """Fits one model on barrier tasks; answers its text.

    Args:
        context: Of the application.
        place: Folder of the frozen frame, readable by every worker.
        origin: Of the fold; `None` for all rows.
        crew: How many tasks, and their threads.
        seed: Of the fit.
    """
    tasks = (
        context.parallelize(range(crew.workers), crew.workers)
        .barrier()
        .mapPartitions(_worker(place, origin, crew, seed))
    )
    # the exchange behind the barrier makes its stage one that Spark can run again
    texts = [text for text in tasks.repartition(1).collect() if text]
    if len(texts) != 1:
        raise TrainingError(
            f"{len(texts)} workers answered a model, expected the first one only; nothing was registered."
        )
    return texts[0]


def _worker(place: str, origin: str | None, crew: Crew, seed: int) -> Callable[[Iterable[int]], Iterator[str]]:
    """What each barrier task does; everything it needs travels by value."""

    def task(_: Iterable[int]) -> Iterator[str]:
        context = BarrierTaskContext.get()
        rank = context.partitionId()
        with local_copy(place, FRAME_FILES) as folder:
            declaration, sample, reference = _share(folder, origin, rank, crew.workers)
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


def _share(folder: Path, origin: str | None, rank: int, workers: int) -> tuple[ModelDeclaration, Sample, Sample | None]:
    """A worker's rows, every `workers`-th one so that all shares look alike, and the rows that all cut their bins by.

    `None` for the latter where they are the worker's own.
    """
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
    reference = None if every == workers == 1 else Sample.of(columns_of(rows.iloc[::every]), declaration)
    return declaration, own, reference


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
    (out / WRITTEN_LAST).write_text(json.dumps(about, indent=1))


if __name__ == "__main__":
    main()
