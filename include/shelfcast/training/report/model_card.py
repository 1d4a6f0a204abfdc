"""The model card of a candidate (Mitchell et al., 2019), made from what its training run has left and from nothing else.

A card is a list of sections, each prose, one table and pictures. The same sections become Markdown for reviews and one
HTML page that needs no other file.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shelfcast.model import candidate
from shelfcast.model.candidate import Candidate, TrainingRecord
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.model.segments import store_groups_of
from shelfcast.training.frame import FRAME, FrameManifest, FrozenFrame, digest
from shelfcast.training.report.card_scores import (
    LEVEL,
    Score,
    scores,
    shown_segments_of,
)
from shelfcast.training.report.card_text import (
    asked_of_the_gate,
    calibration_rows,
    drawn,
    features_rows,
    interval,
    limits,
    percent,
    purpose,
    score_rows,
    signed_percent,
    table_sentences,
    use,
)

DIGESTED = (*(part for part in candidate.RELEASED if part != candidate.RECORD), candidate.FOLD_FORECASTS)
SCORE_HEADER = ("segment", "rows", "WAPE", "bias", "RMSE", "in 90 %", "simple: WAPE", "simple: RMSE")
MOST_FEATURES = 15
LIMITS = "Limits"


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the card.

    Attributes:
        title: Its heading.
        text: Paragraphs.
        header: Of the table.
        rows: Of the table.
        pictures: Names of PNG files among the run's pictures.
    """

    title: str
    text: Sequence[str] = ()
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    pictures: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a training run has left.

    Attributes:
        declaration: The model as it was declared when it was trained.
        purpose: What it says it is for.
        manifest: Of the frozen frame.
        record: What the candidate was made of.
        metrics: Of its fold forecasts.
        rows: Fold forecasts.
        first, last: Days of the frame's rows, ISO text.
        digests: SHA-256 of each file.
        code_version: Of the code that trained.
        weights: Of the features (see `shelfcast.training.report.explanation.summary`).
    """

    declaration: ModelDeclaration
    purpose: str
    manifest: FrameManifest
    record: TrainingRecord
    metrics: Mapping[str, Any]
    rows: pd.DataFrame
    first: str
    last: str
    digests: Mapping[str, str]
    code_version: str
    weights: pd.DataFrame


def write(frame: FrozenFrame, folder: Path, *, code_version: str, weights: pd.DataFrame) -> None:
    """Writes the card of a candidate into its report, in both forms.

    Args:
        frame: That it was trained on.
        folder: Of the candidate; the pictures that are in its report are shown.
        code_version: Of the code that trained.
        weights: Of the features (see `shelfcast.training.report.explanation.summary`).
    """
    run, report = run_of(frame, folder, code_version=code_version, weights=weights), folder / candidate.REPORT
    found = sections(run)
    (report / candidate.CARD).write_text(to_markdown(run, found))
    (report / candidate.CARD_PAGE).write_text(to_page(run, found, report / candidate.PICTURES))


def run_of(frame: FrozenFrame, folder: Path, *, code_version: str, weights: pd.DataFrame) -> Run:
    """What a training run has left in the candidate's folder (see `write`)."""
    made, days = Candidate.read(folder), frame.moments.astype("datetime64[D]")
    return Run(
        declaration=made.model.declaration,
        purpose=purpose((folder / candidate.DECLARATION).read_text()),
        manifest=frame.manifest,
        record=made.record,
        metrics=made.metrics,
        rows=pd.read_parquet(folder / candidate.FOLD_FORECASTS),
        first=str(days.min()),
        last=str(days.max()),
        digests={FRAME: frame.manifest.digest} | {name: digest(folder / name) for name in DIGESTED},
        code_version=code_version,
        weights=weights,
    )


def sections(run: Run) -> list[Section]:
    """The card."""
    (whole,) = scores(run.rows, {"all": run.rows["actual"].notna().to_numpy()})
    segments = scores(run.rows, shown_segments_of(run.rows))
    store_groups = scores(run.rows, store_groups_of(run.rows))
    return [
        Section(title="Purpose", text=[run.purpose, use(run.declaration)]),
        _made(run),
        _data(run),
        _errors(run, whole, segments),
        _calibration(run),
        _fairness(run, whole, store_groups),
        _weights(run),
        _lineage(run),
        Section(title=LIMITS, text=limits(run.declaration, run.rows, [*segments, *store_groups], whole)),
    ]


def to_markdown(run: Run, found: Sequence[Section]) -> str:
    """As Markdown; pictures are named by where the report keeps them."""
    return _rendered(candidate.CARD, title=_title(run), subtitle=_subtitle(run), sections=found, listed=LIMITS)


def to_page(run: Run, found: Sequence[Section], pictures: Path) -> str:
    """As one HTML page with the pictures in it."""
    named = sorted({name for section in found for name in section.pictures if (pictures / name).exists()})
    inside = {name: base64.b64encode((pictures / name).read_bytes()).decode() for name in named}
    return _rendered(candidate.CARD_PAGE, title=_title(run), subtitle=_subtitle(run), sections=found, drawn=inside)


def _made(run: Run) -> Section:
    record, fit = run.record, run.declaration.fit.model_dump()
    rows = {
        "Model": f"{run.declaration.name}, LightGBM, {run.declaration.kind}",
        "Cutoff": str(record.cutoff),
        "Reason": f"{run.manifest.reason}{' (release forced)' if run.manifest.is_forced else ''}",
        "Question to the gate": asked_of_the_gate(record),
        "Parameters": ", ".join(f"{name} {value}" for name, value in fit.items()),
        "Seed": str(record.seed),
        "Code": run.code_version,
    }
    return Section(title="How it was made", header=("what", "found"), rows=list(rows.items()))


def _data(run: Run) -> Section:
    manifest, folds = run.manifest, int(run.rows["fold"].nunique())
    text = (
        f"{manifest.rows:,} rows{_left_out(manifest)} of {run.first} to {run.last}, as known at the close of "
        f"{manifest.cutoff}. Measured on "
        f"{len(run.rows):,} rows of {folds} rolling origins that the fitted model of each had not seen; the model itself "
        "is fitted on all rows. The frame is frozen: the same digest and seed give the same model."
    )
    rows = [(name, value) for name, value in run.digests.items()]
    return Section(title="Data", text=[text], header=("file", "SHA-256"), rows=rows)


def _errors(run: Run, whole: Score, segments: list[Score]) -> Section:
    text = (
        f"Level: {run.metrics['level']}. WAPE {interval(whole.wape, percent)}, against {percent(whole.simple_wape)} of the "
        f"strongest simple method, {run.metrics['strongest_simple']}. In brackets: {LEVEL:.0%} bootstrap intervals over "
        f"{drawn(run.rows)}; none where a segment holds one of them only."
    )
    return Section(
        title="Error, overall and by segment",
        text=[text],
        header=SCORE_HEADER,
        rows=score_rows([whole, *segments]),
        pictures=("forecast_against_actual.png", "error_by_horizon.png"),
    )


def _calibration(run: Run) -> Section:
    text = (
        "Quantiles of each fold come from a calibration that has not seen the fold (split conformal prediction), and are "
        "the wider the larger the errors that were usual on such days. Many days hit a quantile of few units exactly: it "
        "is right if what was promised lies between the share below it and that at or below."
    )
    rows = calibration_rows(run.rows)
    return Section(
        title="Calibration",
        text=[text],
        header=("promised", "nominal", "found"),
        rows=rows,
        pictures=("calibration.png",),
    )


def _fairness(run: Run, whole: Score, found: list[Score]) -> Section:
    title = "Fairness across groups of stores"
    if not found:
        return Section(title=title, text=["The rows of this run do not say a store's group."])
    errors, biases = [score.wape.value for score in found], [score.bias.value for score in found]
    text = (
        f"WAPE lies between {percent(min(errors))} and {percent(max(errors))} over {len(found)} groups "
        f"({percent(whole.wape.value)} overall), bias between {signed_percent(min(biases))} and {signed_percent(max(biases))}."
    )
    meant = {
        "forecast": " A group with a low bias runs out of stock sooner than others, one with a high bias holds more in excess.",
        "regression": "",
    }[run.declaration.kind]
    return Section(title=title, text=[text + meant], header=("store group", *SCORE_HEADER[1:]), rows=score_rows(found))


def _weights(run: Run) -> Section:
    text = (
        "Mean size of each feature's contribution to the raw score (Shapley values of a sample of held-out rows; "
        f"the {MOST_FEATURES} largest of {len(run.weights)}), and which way it moves it: the rank correlation of a feature "
        "with its contribution. They say what the model uses, not what causes sales."
    )
    shown = run.weights.head(MOST_FEATURES).itertuples(index=False)
    rows = [
        (str(row.feature), f"{row.mean_absolute:.4g}", f"{row.share:.1%}", f"{row.direction:+.2f}") for row in shown
    ]
    header = ("feature", "mean size", "share", "direction")
    return Section(
        title="What moves its forecasts",
        text=[text],
        header=header,
        rows=rows,
        pictures=("shap_summary.png", "importance.png"),
    )


def _lineage(run: Run) -> Section:
    text = ["Each feature is defined once, in SQL.", *table_sentences(run.declaration)]
    header = ("feature", "made of", "table", "defined in")
    return Section(title="Features and their lineage", text=text, header=header, rows=features_rows(run.declaration))


def _left_out(manifest: FrameManifest) -> str:
    if manifest.of_rows <= manifest.rows:
        return ""
    return f", of each origin a random part of its series out of about {manifest.of_rows:,} rows,"


def _title(run: Run) -> str:
    return f"Model card: {run.declaration.name}, cutoff {run.record.cutoff}"


def _subtitle(run: Run) -> str:
    return f"frame {run.manifest.digest[:12]}, model {run.digests[candidate.MEAN][:12]}, code {run.code_version}"


def _rendered(name: str, **values: object) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=name == candidate.CARD_PAGE,  # noqa: S701
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(values)
