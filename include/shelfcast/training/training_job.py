"""Spark entry point: fits each fold and the final model in barrier mode, measures, and writes what a candidate is.

    spark-submit training_job.py --frame FOLDER --out FOLDER [--releases FOLDER] [--workers N] [--seed N]

A folder is a path that all machines see, or an `s3://` URI.

A finished fit is kept beside the frame until the candidate is written: a lost worker costs the fit that it was in, a lost
driver too, and never those before it.
"""

import argparse
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark import SparkContext
from pyspark.sql import SparkSession

from shelfcast.only_one import only_one
from shelfcast.training import declaration as declarations
from shelfcast.training.baselines import learned_forecasts
from shelfcast.training.calibration import calibrate
from shelfcast.training.champion import SINCE_CHAMPION, Champion, Matter, champion_of, digest_of, matter_of, taken_over
from shelfcast.training.cluster_fits import FRAME_FILES, Fits
from shelfcast.training.crew import Crew, crew_of
from shelfcast.training.declaration import ModelDeclaration
from shelfcast.training.evaluation import evaluate, fold_rows, forecast_rows, telling
from shelfcast.training.fit import MODEL, parameters, predict
from shelfcast.training.folds import Booleans, folds_of, folds_since, moments_of, search_folds
from shelfcast.training.frame import FRAME, FrameManifest, columns_of, countable, verify
from shelfcast.training.kept_fits import code_digest
from shelfcast.training.places import is_remote, local_copy, written_to
from shelfcast.training.rows import Floats
from shelfcast.training.sample import Sample
from shelfcast.training.search import Trial, search
from shelfcast.training.spread import SPREAD, drawn, fit_spread, predict_spread

APPLICATION = "shelfcast.training"
LOCK = "training.lock"
WRITTEN_LAST = "training.json"
TRIALS = "trials.json"
FAIL_RATHER_THAN_WAIT: dict[str, bool | float | int | str | None] = {
    # in place of a year, which is Spark's own
    "spark.barrier.sync.timeout": "900",
    # asked every 15 s, 40 times unless told
    "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "3",
}


@dataclass(frozen=True, kw_only=True)
class Models:
    """Native texts of what a fold is measured with: its own model, that of the spread, and that of the champion's recipe."""

    text: str
    spread_text: str
    champion: str | None


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
    declared = declarations.load(manifest.model)
    with local_copy(releases) if releases else nullcontext() as releases_folder:
        champion = champion_of(releases_folder, manifest.model)
    fits = Fits(context=context, place=place, frame_digest=manifest.digest, crew=crew, seed=seed)
    declaration, trials = searched(frame, taken_over(declared, champion), manifest, fits)
    code = code_digest()
    matter = matter_of(declaration, champion, code=code)
    rows, spread_text = _on_folds(frame, declaration, manifest, fits, matter)
    since = _since_champion(frame, declaration, manifest, fits, champion)
    texts = {MODEL: fits.text_of(declaration, None), SPREAD: spread_text}
    about = {**matter.as_dict(), "declared": digest_of(declared), "code": code}
    with written_to(out, last=WRITTEN_LAST) as folder:
        if trials:
            (folder / TRIALS).write_text(json.dumps([trial.as_dict() for trial in trials], indent=1))
        if since is not None:
            since.to_parquet(folder / SINCE_CHAMPION, index=False)
        write_candidate(folder, texts, rows, declaration, manifest, about=about, seed=seed)
    fits.forget()


def searched(
    frame: pd.DataFrame, declared: ModelDeclaration, manifest: FrameManifest, fits: Fits
) -> tuple[ModelDeclaration, list[Trial]]:
    """The declaration as it stands, or with the parameters that a search found on older folds, and its trials."""
    if not manifest.trials:
        return declared, []
    folds, counted = search_folds(frame, declared, manifest), countable(frame)

    def errors_of(declaration: ModelDeclaration, number: int) -> Floats:
        fold = folds[number]
        asked = Sample.of(columns_of(frame[fold.test & counted]), declaration)
        text = fits.text_of(declaration, str(fold.origin))
        return asked.target - predict(text, asked.rows, asked.expected, declaration)

    told = frame.loc[counted, declared.target].to_numpy(dtype=float)
    judged = declared.model_copy(update={"gate": telling(declared.gate, told)})
    found, trials = search(judged, errors_of, folds=len(folds), trials=manifest.trials, seed=fits.seed)
    return found.model_copy(update={"gate": declared.gate}), trials


def _on_folds(
    frame: pd.DataFrame, declaration: ModelDeclaration, manifest: FrameManifest, fits: Fits, matter: Matter
) -> tuple[pd.DataFrame, str]:
    """Forecasts of each fold's days by its own model (see `fold_rows`), and the model of their spread."""
    folds, counted, parts = folds_of(frame, declaration, manifest), countable(frame), []
    oldest = folds[-1].train & counted  # no fold is measured on what the oldest one knew
    known = frame.iloc[drawn(oldest, seed=fits.seed)]
    settings = parameters(declaration, seed=fits.seed, num_threads=fits.crew.num_threads)
    sample = Sample.of(columns_of(known), declaration)
    spread_text = fit_spread(sample, moments_of(known, declaration), declaration, settings=settings)
    for number, fold in enumerate(folds):
        text = fits.text_of(declaration, str(fold.origin))
        print(f"fold {number + 1} of {len(folds)}: origin {fold.origin}", flush=True)  # noqa: T201
        learned = _learned(frame, fold.train & counted, fold.test & counted, declaration, fits.seed)
        champion = (
            fits.text_of(matter.champion.declaration, str(fold.origin))
            if matter.champion and matter.is_refitted
            else None
        )
        models = Models(text=text, spread_text=spread_text, champion=champion)
        parts.append(_measured(frame[fold.test & counted], models, declaration, number, learned))
    return pd.concat(parts, ignore_index=True), spread_text


def _since_champion(
    frame: pd.DataFrame, declaration: ModelDeclaration, manifest: FrameManifest, fits: Fits, champion: Champion | None
) -> pd.DataFrame | None:
    """What fold models say of the days since the champion's cutoff, for what it said itself to be laid beside.

    `None` of a regression, which no one keeps the answers of, and while there is no origin between the two cutoffs.
    """
    if champion is None or declaration.kind == "regression":
        return None
    parts, counted = [], countable(frame)
    for number, fold in enumerate(folds_since(frame, manifest, champion.cutoff)):
        chosen = frame[fold.test & counted]
        sample = Sample.of(columns_of(chosen), declaration)
        mean = predict(fits.text_of(declaration, str(fold.origin)), sample.rows, sample.expected, declaration)
        parts.append(forecast_rows(chosen, declaration, number, mean=mean))
    return pd.concat(parts, ignore_index=True) if parts else None


def _learned(
    frame: pd.DataFrame, train: Booleans, test: Booleans, declaration: ModelDeclaration, seed: int
) -> dict[str, Floats]:
    if declaration.kind == "forecast":  # spares the rows of a frame that no simple method learns from
        return {}
    known, asked = (Sample.of(columns_of(frame[chosen]), declaration) for chosen in (train, test))
    return learned_forecasts(known, asked, declaration, seed=seed)


def _measured(
    frame: pd.DataFrame, models: Models, declaration: ModelDeclaration, fold: int, learned: dict[str, Floats]
) -> pd.DataFrame:
    sample = Sample.of(columns_of(frame), declaration)
    mean = predict(models.text, sample.rows, sample.expected, declaration)
    champion = predict(models.champion, sample.rows, sample.expected, declaration) if models.champion else None
    spread = predict_spread(models.spread_text, sample.rows)
    return fold_rows(frame, mean, champion, declaration, fold, spread=spread, learned=learned)


def write_candidate(
    out: Path,
    texts: Mapping[str, str],
    rows: pd.DataFrame,
    declaration: ModelDeclaration,
    manifest: FrameManifest,
    *,
    about: Mapping[str, object],
    seed: int,
) -> None:
    """Writes models (by name), calibration, fold forecasts, metrics and what they were made from; `training.json` last.

    `about` says what the gate has to decide (see `Matter.as_dict`) and what the model was fitted by.
    """
    out.mkdir(parents=True, exist_ok=True)
    actual, mean, spread = (rows[name].to_numpy(float) for name in ("actual", "mean", "spread"))

    def calibrated(kept: Any) -> Any:
        return calibrate(actual[kept], mean[kept], spread[kept], declaration.quantiles)

    folds = sorted(rows["fold"].unique())
    others = {fold: calibrated((rows["fold"] != fold).to_numpy() if len(folds) > 1 else slice(None)) for fold in folds}
    measured = evaluate(rows, others, declaration)
    for name, text in texts.items():
        (out / name).write_text(text)
    (out / "declaration.yaml").write_text(declarations.text_of(declaration))
    (out / "calibration.json").write_text(calibrated(slice(None)).to_json())
    rows.to_parquet(out / "fold_forecasts.parquet", index=False)
    (out / "metrics.json").write_text(json.dumps(measured.as_dict(), indent=1))
    made_of = {
        "model": declaration.name,
        "cutoff": manifest.cutoff,
        "frame_digest": manifest.digest,
        "seed": seed,
        "horizon_days": manifest.horizon_days,
        "rows": manifest.rows,
        "reason": manifest.reason,
        "is_forced": manifest.is_forced,
    }
    (out / WRITTEN_LAST).write_text(json.dumps({**made_of, **about}, indent=1))


if __name__ == "__main__":
    main()
