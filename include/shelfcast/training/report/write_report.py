"""Writes what people read of a candidate, beside its parts: part of the training, since it takes rows of the frame."""

from pathlib import Path

import pandas as pd

from shelfcast.model.candidate import FOLD_FORECASTS, PICTURES, REPORT, WEIGHTS, Candidate
from shelfcast.training.frame import FrozenFrame
from shelfcast.training.report import model_card
from shelfcast.training.report.explanation import explain, gains, rows_to_explain, summary
from shelfcast.training.report.plots import draw, draw_explanation


def write_report(frame: FrozenFrame, folder: Path, *, code_version: str) -> None:
    """Writes the report of a candidate into its folder; the same candidate has the same report.

    Args:
        frame: That it was trained on.
        folder: Of the candidate, whose parts are written.
        code_version: Of the code that trained.
    """
    made, report = Candidate.read(folder), folder / REPORT
    text = made.model.mean_text
    explained = explain(text, rows_to_explain(frame, made.model.declaration, seed=made.record.seed))
    weights = summary(explained)
    draw(pd.read_parquet(folder / FOLD_FORECASTS), report / PICTURES)
    draw_explanation(explained, gains(text), report / PICTURES)
    weights.to_csv(report / WEIGHTS, index=False)
    model_card.write(frame, folder, code_version=code_version, weights=weights)
