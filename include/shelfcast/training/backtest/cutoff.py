"""One cutoff of a backtest: features, frame, model, forecasts, errors."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import numpy as np
import pandas as pd

from shelfcast.cold_store.feature_views import DEMAND, DEMAND_AHEAD, closed_at
from shelfcast.errors import DatasetError, PostConditionFailed, TrainingError, first_offenders
from shelfcast.model.declaration import QUANTILE_NAMES, ModelDeclaration
from shelfcast.sources.outliers import WHAT
from shelfcast.training.backtest.features import PANEL_ROWS, build_features
from shelfcast.training.backtest.input import History
from shelfcast.training.backtest.rows import collect, fit, forecast
from shelfcast.training.backtest.scores import scores
from shelfcast.training.backtest.store import DAILY_SALES, END_OF_TIME, BacktestStore
from shelfcast.training.progress import Progress, silent

DAYS_ASKED_FOR = f"SEMI JOIN (SELECT series_id, sales_date FROM {DEMAND_AHEAD}) USING (series_id, sales_date)"  # noqa: S608
"""Of the daily sales, those that a frame can be about."""

SCALE_DAYS = 364
"""Days of a series that its scale is taken from."""


class CutoffRun:
    """One history and one model, for any number of cutoffs.

    Args:
        store: Holds the history.
        history: What was read.
        declaration: The model, with the horizon that is wanted.
        most_rows: Rows to train on, roughly.
        num_threads: Of a fit, 1 or more.
        seed: Of the fit.
        panel_rows: Series times days whose features and scale are computed at a time.
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
        panel_rows: int = PANEL_ROWS,
    ) -> None:
        self.store, self.history, self.declaration = store, history, declaration
        self.most_rows, self.num_threads, self.seed, self.panel_rows = most_rows, num_threads, seed, panel_rows
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

    def forecasts(self, cutoff: date, *, progress: Progress = silent) -> pd.DataFrame:
        """Forecasts of every series that is active at a cutoff, beside what was sold (see `backtest.rows.forecast`)."""
        declared = self.declaration
        self._ignore_outliers(cutoff)
        first_origin = self._build_features(cutoff, progress)
        active = self._active_series(cutoff)
        progress("frame")
        learned = {
            "cutoff": cutoff,
            "known_until": closed_at(self.store, cutoff),
            "first_origin": first_origin,
            "origin_step_days": declared.origin_step_days,
            "horizon_days": declared.horizon,
        }
        rows = collect(self._frame(learned), declared)
        if rows is None or not active:
            raise TrainingError(
                f"No series was active {'at' if rows else 'in the weeks before'} {cutoff}, so there is nothing to "
                f"{'forecast' if rows else 'learn from'}. Choose a cutoff within the selling season."
            )
        model = fit(rows, declared, seed=self.seed, num_threads=self.num_threads, progress=progress)
        del rows
        progress("forecast")
        found = forecast(self._frame(self._ahead(cutoff)), model, num_threads=self.num_threads)
        self._check_forecasts(cutoff, found, active=active)
        return found

    def scored(self, cutoff: date, rows: pd.DataFrame) -> pd.DataFrame:
        """Errors on the days that are over; no rows if none is."""
        is_over = pd.to_datetime(rows["sales_date"]) <= pd.Timestamp(self.last_date)
        known = rows[is_over & rows["is_countable"]]
        if not known["actual"].sum():
            self.notes.append(f"{cutoff}: nothing was sold after it yet, so there is nothing to score.")
            return pd.DataFrame()
        table = scores(known, self._scale(cutoff), self.declaration)
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

    def _ignore_outliers(self, cutoff: date) -> None:
        if not self.history.ignores_outliers:
            return
        until = cutoff + timedelta(days=self.declaration.horizon)
        count, example = self.store.ignore_outliers(cutoff, until)
        if count:
            self.notes.append(
                f"{cutoff}: {count:,} days of {WHAT} are ignored, such as {example}: no feature, no fit and no score has "
                "them."
            )

    def _build_features(self, cutoff: date, progress: Progress) -> date:
        """Builds the features of a cutoff and its origins; returns the first origin."""
        built = build_features(
            self.store,
            cutoff,
            self.declaration,
            most_rows=self.most_rows,
            panel_rows=self.panel_rows,
            progress=progress,
        )
        if built.share < 1:
            self.notes.append(
                f"{cutoff}: there are {built.rows:,} rows to learn from; about {self.most_rows:,} of them are: of each "
                f"origin before the cutoff a random {built.share:.1%} of its series, the same in every run. All series are "
                "forecast and scored. More rows: --most-rows, or most_rows in the model's declaration."
            )
        return built.origins[0]

    def _frame(self, parameters: dict[str, object]) -> Iterator[pd.DataFrame]:
        """Rows of the frame's statement, part by part."""
        self.store.see(DAILY_SALES, DAYS_ASKED_FOR)
        yield from self.store.batches(self.declaration.frame_statement, parameters)
        self.store.see_all()

    def _scale(self, cutoff: date) -> pd.DataFrame:
        """See `sql/training/series_scale.sql`."""
        parameters = {"cutoff": cutoff, "known_until": closed_at(self.store, cutoff)}
        chunks = self.store.in_chunks(most_series=max(1, self.panel_rows // SCALE_DAYS))
        found = [self.store.fetch("training/series_scale", parameters) for _ in chunks]
        return pd.concat(found, ignore_index=True)

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
    names = series["item_id"].astype(str) + "@" + series["store_id"].astype(str)
    return first_offenders(names.sort_values()) if len(series) else ""
