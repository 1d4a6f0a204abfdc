"""One cutoff of a backtest: features, frame, model, forecasts, errors."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import numpy as np
import pandas as pd

from shelfcast.cold_store.feature_views import DEMAND, closed_at
from shelfcast.errors import DatasetError, PostConditionFailed, TrainingError, first_offenders
from shelfcast.training.backtest_fit import collect, fit, forecast
from shelfcast.training.backtest_input import History
from shelfcast.training.backtest_scores import scores
from shelfcast.training.backtest_store import END_OF_TIME, BacktestStore
from shelfcast.training.declaration import ModelDeclaration
from shelfcast.training.evaluation import QUANTILE_NAMES

Say = Callable[[str], None]


class CutoffRun:
    """One history and one model, for any number of cutoffs.

    Args:
        store: Holds the history.
        history: What was read.
        declaration: The model, with the horizon that is wanted.
        most_rows: Rows to train on, roughly.
        num_threads: Of a fit, 1 or more.
        seed: Of the fit.
    """

    def __init__(
        self,
        store: BacktestStore,
        history: History,
        declaration: ModelDeclaration,
        *,
        most_rows: int,
        num_threads: int,
        seed: int,
    ) -> None:
        self.store, self.history, self.declaration = store, history, declaration
        self.most_rows, self.num_threads, self.seed = most_rows, num_threads, seed
        self.first_date, self.last_date = store.span()
        self.notes: list[str] = []

    def check(self, cutoffs: Sequence[date]) -> None:
        """Refuses cutoffs that lie outside of the history or leave too little of it, with `DatasetError`."""
        late = [cutoff for cutoff in cutoffs if cutoff > self.last_date]
        if late:
            raise DatasetError(
                f"Cutoff {first_offenders(late)} lies after the last day of {self.history.name}, {self.last_date}. A "
                "model cannot learn from days that are not there: name a cutoff up to that day."
            )
        needed = 2 * self.declaration.horizon
        early = [cutoff for cutoff in cutoffs if (cutoff - self.first_date).days + 1 < needed]
        if early:
            raise DatasetError(
                f"Cutoff {first_offenders(early)} leaves fewer than {needed} days of {self.history.name}, which begins "
                f"on {self.first_date}. A horizon of {self.declaration.horizon} days is learned from at least twice as "
                f"many: name a cutoff from {self.first_date + timedelta(days=needed - 1)} on, or a shorter horizon."
            )

    def forecasts(self, cutoff: date, *, say: Say = lambda _: None) -> pd.DataFrame:
        """Forecasts of every series that is active at a cutoff, beside what was sold (see `backtest_fit.forecast`)."""
        declared = self.declaration
        say(f"{cutoff}: features")
        origins = self.store.build_features(cutoff, declared, most_rows=self.most_rows)
        active = self._active_series(cutoff)
        say(f"{cutoff}: frame")
        learned = {
            "cutoff": cutoff,
            "known_until": closed_at(self.store, cutoff),
            "first_origin": origins[0],
            "origin_step_days": declared.origin_step_days,
            "horizon_days": declared.horizon,
        }
        rows = collect(self.store.batches(declared.frame_statement, learned), declared)
        if rows is None or not active:
            raise TrainingError(
                f"No series was active {'at' if rows else 'in the weeks before'} {cutoff}, so there is nothing to "
                f"{'forecast' if rows else 'learn from'}. Choose a cutoff within the selling season."
            )
        fitted = fit(
            rows,
            declared,
            seed=self.seed,
            num_threads=self.num_threads,
            say=lambda step: say(f"{cutoff}: {step}"),
        )
        del rows
        say(f"{cutoff}: forecast")
        parts = self.store.batches(declared.frame_statement, self._ahead(cutoff))
        found = forecast(parts, fitted, declared, num_threads=self.num_threads)
        self._check_forecasts(cutoff, found, active=active)
        return found

    def scored(self, cutoff: date, rows: pd.DataFrame) -> pd.DataFrame:
        """Errors on the days that are over; no rows if none is."""
        is_over = pd.to_datetime(rows["sales_date"]).dt.date <= self.last_date
        known = rows[is_over & rows["is_countable"]]
        if not known["actual"].sum():
            self.notes.append(f"{cutoff}: nothing was sold after it yet, so there is nothing to score.")
            return pd.DataFrame()
        parameters = {"cutoff": cutoff, "known_until": closed_at(self.store, cutoff)}
        table = scores(known, self.store.fetch("training/series_scale", parameters), self.declaration)
        table.insert(0, "cutoff", cutoff)
        return table

    def silent(self, cutoff: date, rows: pd.DataFrame) -> pd.DataFrame:
        """`store_id` and `item_id` of the series that were there at a cutoff but not active; they get 0 for each day."""
        known = self.history.series if self.history.series is not None else self.store.series()
        is_known = pd.to_datetime(known["first_on"]).dt.date <= cutoff
        if not is_known.all():
            self.notes.append(
                f"{cutoff}: {(~is_known).sum()} of {len(known)} series were first seen after it, so nobody could have "
                f"forecast them: no row in the file, not scored: {_names(known[~is_known])}."
            )
        known = known.loc[is_known, ["store_id", "item_id"]]
        merged = known.merge(rows[["store_id", "item_id"]].drop_duplicates(), how="left", indicator=True)
        missing = merged.loc[merged["_merge"] == "left_only", ["store_id", "item_id"]]
        if len(missing):
            self.notes.append(
                f"{cutoff}: {len(missing)} of {len(known)} series are not active (no sale in 56 days, discontinued, or "
                f"their store is given up): forecast 0, not scored: {_names(missing)}."
            )
        return missing

    def _active_series(self, cutoff: date) -> int:
        names = {"table": DEMAND, "entity": "series_id", "has_activity": "TRUE"}
        return int(self.store.fetch("cold_store/count_partition", {"business_date": cutoff}, **names)["active"].iloc[0])

    def _check_forecasts(self, cutoff: date, rows: pd.DataFrame, *, active: int) -> None:
        """Raises `PostConditionFailed` unless each active series has a number for each day ahead."""
        numbers = rows[["mean", *(QUANTILE_NAMES[level] for level in self.declaration.quantiles)]].to_numpy()
        is_good = (np.isfinite(numbers) & (numbers >= 0)).all(axis=1)
        wanted = active * self.declaration.horizon
        if is_good.sum() != wanted:
            names = _names(rows[~is_good].drop_duplicates("series_id")) or "none of those that are there"
            raise PostConditionFailed(
                f"{cutoff}: {is_good.sum()} finite forecasts for {wanted} days of {active} active series; not finite: "
                f"{names}. Errors taken from them would mean nothing. Look for units or covariates beyond belief in "
                "these series."
            )

    def _ahead(self, cutoff: date) -> dict[str, object]:
        """Parameters of the frame's statement that give one origin, the cutoff, with what was sold in its horizon.

        The covariates in it were built as known at the cutoff; only `units_sold` and `is_countable` are from later.
        """
        horizon = self.declaration.horizon
        return {
            "cutoff": cutoff + timedelta(days=horizon),
            "known_until": END_OF_TIME,
            "first_origin": cutoff,
            "origin_step_days": horizon,
            "horizon_days": horizon,
        }


def _names(series: pd.DataFrame) -> str:
    """The first few series, by name."""
    return first_offenders((series["item_id"] + "@" + series["store_id"]).sort_values()) if len(series) else ""
