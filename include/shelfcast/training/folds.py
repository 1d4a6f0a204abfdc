"""Rolling origins: a model learns from what was before an origin and is measured on what came after it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

from shelfcast.errors import NothingToDo
from shelfcast.model.declaration import REGRESSION_PARTS, ModelDeclaration
from shelfcast.training.frame import Booleans, FrameManifest, days_of, moments_of

SEARCH_FOLDS = 3
"""Origins that parameters are searched on, before those that a candidate is measured on."""

MOST_SINCE = 6
"""Origins after a champion's cutoff that a candidate is compared with it at; each is a fit."""


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One origin.

    Attributes:
        origin: Last day (or moment) that the fold's model may know.
        train: Rows to learn from.
        test: Rows to measure on, none of them in `train`.
    """

    origin: np.datetime64
    train: Booleans
    test: Booleans


def forecast_folds(
    business_date: npt.NDArray[np.datetime64], sales_date: npt.NDArray[np.datetime64], *, folds: int, horizon_days: int
) -> Iterator[Fold]:
    """Origins `horizon_days` apart, the newest one leaving its whole horizon known.

    A fold learns from rows whose day was over at its origin and is measured on the forecasts made at it.

    Args:
        business_date: Origin of each row, `datetime64[D]`.
        sales_date: Day of each row, `datetime64[D]`.
        folds: Number of folds, 1 or more.
        horizon_days: Days between two origins.

    Raises:
        NothingToDo: The history is too short for that many folds.
    """
    last = sales_date.max()
    origins = np.unique(business_date)
    wanted = [last - np.timedelta64(horizon_days * (number + 1), "D") for number in range(folds)]
    for target in wanted:
        earlier = origins[origins <= target]
        fold = _forecast_fold(business_date, sales_date, earlier[-1] if len(earlier) else target)
        if not len(earlier) or not fold.train.any():
            raise NothingToDo(
                f"The history is too short for {folds} folds of {horizon_days} days: there is nothing to learn from "
                f"before {target}. Ask for fewer folds or wait."
            )
        yield fold


def _forecast_fold(
    business_date: npt.NDArray[np.datetime64], sales_date: npt.NDArray[np.datetime64], origin: np.datetime64
) -> Fold:
    return Fold(origin=origin, train=sales_date <= origin, test=business_date == origin)


def regression_folds(moment: npt.NDArray[np.datetime64], *, folds: int) -> Iterator[Fold]:
    """Consecutive tenths of the rows at the end of time, each measured with a model of everything before it."""
    ordered = np.sort(moment)
    size = len(ordered) // REGRESSION_PARTS
    if size < 1 or folds >= REGRESSION_PARTS:
        raise NothingToDo(f"{len(ordered)} rows in ten tenths are too few for {folds} folds. Ask for fewer.")
    for number in range(folds):
        start, end = ordered[len(ordered) - (number + 1) * size], ordered[len(ordered) - number * size - 1]
        yield Fold(origin=start, train=moment < start, test=(moment >= start) & (moment <= end))


def folds_of(frame: pd.DataFrame, declaration: ModelDeclaration, manifest: FrameManifest) -> list[Fold]:
    """The frame's rolling origins that a candidate is measured on, newest first."""
    return list(_rolling(frame, declaration, manifest, folds=manifest.folds))


def search_folds(frame: pd.DataFrame, declaration: ModelDeclaration, manifest: FrameManifest) -> list[Fold]:
    """Older origins, which parameters are searched on: what a candidate is measured on has no part in choosing it."""
    folds = list(_rolling(frame, declaration, manifest, folds=manifest.folds + SEARCH_FOLDS))
    known = folds[manifest.folds - 1].train
    return [replace(fold, test=fold.test & known) for fold in folds[manifest.folds :]]


def fold_at(frame: pd.DataFrame, declaration: ModelDeclaration, manifest: FrameManifest, origin: str) -> Fold:
    """The fold of either kind that has this origin, in the text of `Fold.origin`."""
    if declaration.kind == "forecast":
        return _forecast_fold(
            days_of(frame["business_date"]), moments_of(frame, declaration), np.datetime64(origin, "D")
        )
    folds = _rolling(frame, declaration, manifest, folds=manifest.folds + SEARCH_FOLDS)
    return next(fold for fold in folds if str(fold.origin) == origin)


def folds_since(frame: pd.DataFrame, manifest: FrameManifest, learned_until: date) -> list[Fold]:
    """Folds of forecasts from origins after a day, at most `MOST_SINCE`, spread evenly, newest first.

    Whoever has learned until that day has seen none of their days; a fold that begins on it would be that model again.

    Args:
        frame: With `business_date` and `sales_date`.
        manifest: Of the frame.
        learned_until: The last day that the other model knows.
    """
    business_date, sales_date = days_of(frame["business_date"]), days_of(frame["sales_date"])
    origins = np.unique(business_date)
    since = origins[(origins > np.datetime64(learned_until)) & (origins < np.datetime64(manifest.cutoff))][::-1]
    positions = np.unique(np.linspace(0, len(since) - 1, min(len(since), MOST_SINCE)).round().astype(int))
    return [_forecast_fold(business_date, sales_date, origin) for origin in since[positions]]


def _rolling(
    frame: pd.DataFrame, declaration: ModelDeclaration, manifest: FrameManifest, *, folds: int
) -> Iterator[Fold]:
    moments = moments_of(frame, declaration)
    if declaration.kind == "regression":
        return regression_folds(moments, folds=folds)
    return forecast_folds(days_of(frame["business_date"]), moments, folds=folds, horizon_days=manifest.horizon_days)
