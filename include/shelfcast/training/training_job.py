"""Spark entry point: fits each fold and the final model in barrier mode, measures, explains, and writes what a candidate is.

    spark-submit training_job.py --frame FOLDER --out FOLDER [--releases FOLDER] [--workers N] [--seed N]
        [--code-version TEXT]

FOLDER is a path that all machines see, or an `s3://` URI.

A finished fit is kept beside the frame until the candidate is written: a lost worker costs the fit that it was in, a lost
driver too, and never those before it.
"""

import argparse
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from pyspark import SparkContext
from pyspark.sql import SparkSession

from shelfcast.model import declaration as declarations
from shelfcast.model.baselines import learned_forecasts
from shelfcast.model.booster import Booster
from shelfcast.model.candidate import WRITTEN_LAST, Candidate, TrainingRecord
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.model.features import Floats
from shelfcast.model.fitted_model import mean_of
from shelfcast.model.matrix import Sample
from shelfcast.storage import Location, local_copy, location, one_writer, publish
from shelfcast.training.champion import Champion, Matter, champion_of, digest_of, matter_of, taken_over
from shelfcast.training.cluster_fits import Fits
from shelfcast.training.evaluation import by_fold, evaluate, fold_rows, forecast_rows, telling
from shelfcast.training.fit_cache import code_digest
from shelfcast.training.folds import Fold, folds_of, folds_since, search_folds
from shelfcast.training.frame import FRAME_FILES, FrozenFrame, columns_of, verify
from shelfcast.training.progress import printed
from shelfcast.training.recipe import FoldForecast, train_by_folds
from shelfcast.training.report.write_report import write_report
from shelfcast.training.search import Trial, search
from shelfcast.training.worker_layout import WorkerLayout, layout_of

APPLICATION = "shelfcast.training"
LOCK = "training.lock"

Report = Callable[[FrozenFrame, Path], None]
"""Writes into a candidate's folder what people read of it (see `write_report`)."""

FAIL_RATHER_THAN_WAIT: dict[str, bool | float | int | str | None] = {
    # in place of a year, which is Spark's own
    "spark.barrier.sync.timeout": "900",
    # asked every 15 s, 40 times unless told
    "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "3",
}


def main() -> None:
    """Reads the command line and runs the job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frame", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--releases", default=None, help="the model's releases; the one that serves is the champion")
    parser.add_argument("--workers", type=int, default=None, help="one a machine, or a slot of a cluster, unless told")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--code-version",
        default=f"shelfcast {version('shelfcast')}",
        help="of the code that trains, for the model card",
    )
    options = parser.parse_args()
    frame, out = location(options.frame, "--frame"), location(options.out, "--out")
    releases = location(options.releases, "--releases") if options.releases else None
    with one_writer(frame / LOCK):
        spark = SparkSession.builder.appName(APPLICATION).config(map=FAIL_RATHER_THAN_WAIT).getOrCreate()
        layout = layout_of(spark.sparkContext, options.workers)
        report = partial(write_report, code_version=options.code_version)
        run(spark.sparkContext, frame, out, releases, layout=layout, seed=options.seed, report=report)
        spark.stop()


def run(
    context: SparkContext,
    frame_folder: Location,
    out: Location,
    releases: Location | None,
    *,
    layout: WorkerLayout,
    seed: int = 7,
    report: Report | None = None,
) -> None:
    """Trains on the frozen frame in `frame_folder` and publishes the candidate, with what `report` writes, as `out`."""
    with local_copy(frame_folder, FRAME_FILES) as folder:
        manifest = verify(folder)
        frame = FrozenFrame(folder, manifest, declarations.load(manifest.model))
        champion = champion_of(releases, frame.manifest.model)
        fits = Fits(context=context, frame=frame_folder, frame_digest=frame.manifest.digest, layout=layout, seed=seed)
        with publish(out, last=WRITTEN_LAST) as draft:
            train(frame, champion, fits, draft)
            if report:
                report(frame, draft)
    fits.clear()


def train(frame: FrozenFrame, champion: Champion | None, fits: Fits, out: Path) -> None:
    """Trains on a frame and writes the candidate.

    Args:
        frame: Of a declared model.
        champion: What serves.
        fits: By which a mean is fitted.
        out: Folder of the candidate's files.
    """
    manifest = frame.manifest
    declared = declarations.load(manifest.model)
    declaration, trials = searched(frame, taken_over(declared, champion), fits)
    code = code_digest()
    matter = matter_of(declaration, champion, code=code)
    how = {"seed": fits.seed, "num_threads": fits.layout.num_threads}
    folds = folds_of(frame.deciding, declaration, manifest)
    trained = train_by_folds(frame, declaration, folds, fits.text_of, progress=printed, **how)
    rows = _measured(frame, trained.folds, declaration, fits, matter)
    metrics = evaluate(rows, declaration).as_dict()
    candidate = Candidate(
        model=trained.model,
        record=TrainingRecord(
            model=declaration.name,
            cutoff=date.fromisoformat(manifest.cutoff),
            frame_digest=manifest.digest,
            seed=fits.seed,
            horizon_days=manifest.horizon_days,
            rows=manifest.rows,
            reason=manifest.reason,
            is_forced=manifest.is_forced,
            **matter.as_record(),
            declared=digest_of(declared),
            code=code,
        ),
        metrics=metrics,
        folds=by_fold(rows),
        trials=[trial.as_dict() for trial in trials],
    )
    candidate.write(out, fold_forecasts=rows, since_champion=_since_champion(frame, declaration, fits, champion))


def searched(frame: FrozenFrame, declared: ModelDeclaration, fits: Fits) -> tuple[ModelDeclaration, list[Trial]]:
    """The declaration as it stands, or with the parameters that a search found on older folds, and its trials."""
    manifest, counted = frame.manifest, frame.is_countable
    if not manifest.trials:
        return declared, []
    folds = search_folds(frame.deciding, declared, manifest)
    asked = frame.parts(*(np.flatnonzero(fold.test & counted) for fold in folds))

    def errors_of(declaration: ModelDeclaration, number: int) -> Floats:
        mean = Booster(fits.text_of(declaration, folds[number]))
        test = asked[number]
        return test.target - mean_of(mean, test.rows, test.expected, declaration)

    judged = declared.model_copy(update={"gate": telling(declared.gate, frame.target[counted])})
    found, trials = search(judged, errors_of, folds=len(folds), trials=manifest.trials, seed=fits.seed)
    return found.model_copy(update={"gate": declared.gate}), trials


def _measured(
    frame: FrozenFrame, folds: Sequence[FoldForecast], declaration: ModelDeclaration, fits: Fits, matter: Matter
) -> pd.DataFrame:
    """The folds' forecasts beside what happened, what simple methods said, and what the champion's recipe says."""
    found = []
    for number, (made, rows) in enumerate(zip(folds, frame.rows(*(made.positions for made in folds)), strict=True)):
        champion = None
        if matter.champion and matter.is_refitted:
            champion = _mean(rows, matter.champion.declaration, made.fold, fits)
        learned = _learned(frame, made, declaration, fits.seed)
        found.append(
            fold_rows(rows, made.mean, champion, declaration, number, difficulty=made.difficulty, learned=learned)
        )
    return pd.concat(found, ignore_index=True)


def _mean(rows: pd.DataFrame, declaration: ModelDeclaration, fold: Fold, fits: Fits) -> Floats:
    """What a fold's model forecasts of some rows."""
    sample = Sample.of(columns_of(rows), declaration)
    return mean_of(Booster(fits.text_of(declaration, fold)), sample.rows, sample.expected, declaration)


def _since_champion(
    frame: FrozenFrame, declaration: ModelDeclaration, fits: Fits, champion: Champion | None
) -> pd.DataFrame | None:
    """What fold models say of the days since the champion's cutoff, for what it said itself to be laid beside.

    `None` of a regression, which no one keeps the answers of, and while there is no origin between the two cutoffs.
    """
    if champion is None or declaration.kind == "regression":
        return None
    folds = folds_since(frame.deciding, frame.manifest, champion.cutoff)
    if not folds:
        return None
    tables = frame.rows(*(np.flatnonzero(fold.test & frame.is_countable) for fold in folds))
    parts = [
        forecast_rows(rows, declaration, number, mean=_mean(rows, declaration, fold, fits))
        for number, (fold, rows) in enumerate(zip(folds, tables, strict=True))
    ]
    return pd.concat(parts, ignore_index=True)


def _learned(frame: FrozenFrame, forecast: FoldForecast, declaration: ModelDeclaration, seed: int) -> dict[str, Floats]:
    if declaration.kind == "forecast":  # spares the rows of a frame that no simple method learns from
        return {}
    known, asked = frame.parts(np.flatnonzero(forecast.fold.train & frame.is_countable), forecast.positions)
    return learned_forecasts(known, asked, declaration, seed=seed)


if __name__ == "__main__":
    main()
