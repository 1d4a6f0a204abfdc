"""What a year came to: releases, the age of what served, and its error by week beside other ways to keep a model."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from shelfcast.deployment import bundle
from shelfcast.deployment.build_bundle import build
from shelfcast.hot_store.partition import packed
from shelfcast.hot_store.vector import Vector, unpack
from shelfcast.model import declaration as declarations
from shelfcast.model.booster import Booster
from shelfcast.model.candidate import FOLD_FORECASTS, Candidate
from shelfcast.model.fitted_model import mean_of
from shelfcast.model.matrix import Sample
from shelfcast.model.metrics import Floats, wape
from shelfcast.serving.predictor import Predictor
from shelfcast.training.frame import FRAME, columns_of
from shelfcast_local.year.lived import Training, Year
from shelfcast_local.year.loop import MODEL, Loop
from shelfcast_local.year.shop import FIRST_DAY, Shop, monday_of

DAYS_AHEAD = 7
"""Days of a week's forecasts, made at the close of the Sunday before it."""

WAYS = {"never": "trained once", "weekly": "each Monday's candidate", "governed": "what the gate released"}


@dataclass(frozen=True, kw_only=True)
class WeekOfYear:
    """A week, as forecast on the Sunday before it.

    Attributes:
        week: From 0.
        age_days: Days between what served had learned until and that Sunday.
        wape: By way of keeping the model (see `WAYS`) and `oracle`, where there is one.
    """

    week: int
    age_days: int
    wape: dict[str, float]


class Forecaster:
    """The error of any candidate in any week of a shop that was lived through.

    Args:
        loop: The shop and its cold store.
    """

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self._predictors: dict[Path, Predictor] = {}
        self._weeks: dict[int, tuple[list[Vector], Floats]] = {}
        self._actuals = _units(loop.shop)

    def wape_of(self, candidate: Path, week: int) -> float:
        """WAPE of a candidate's forecasts of a week, made at the close of the Sunday before it."""
        if week not in self._weeks:
            self._weeks[week] = self._read(week)
        vectors, actual = self._weeks[week]
        return wape(actual, self._predictor(candidate).forecast(vectors, horizon_days=DAYS_AHEAD).mean)

    def _read(self, week: int) -> tuple[list[Vector], Floats]:
        """Vectors at the close of the Sunday before a week, and what was sold in it, of shape (series, 7)."""
        declaration, first = declarations.load(MODEL), (monday_of(week) - FIRST_DAY).days
        values = packed(self.loop.store, declaration, monday_of(week) - timedelta(days=1))
        vectors = [unpack(value, fields=declaration.vector_fields) for value in values.values()]
        return vectors, np.stack([self._actuals[name][first : first + DAYS_AHEAD] for name in values])

    def _predictor(self, candidate: Path) -> Predictor:
        if candidate not in self._predictors:
            with TemporaryDirectory() as folder:
                released = build(candidate, Path(folder))
                self._predictors[candidate] = Predictor(bundle.load(Path(folder) / released))
        return self._predictors[candidate]


def weeks_of(forecaster: Forecaster, year: Year, *, oracle: Mapping[int, Path] | None = None) -> list[WeekOfYear]:
    """The weeks of a year by every way of keeping the model.

    Args:
        forecaster: Of the shop.
        year: What happened in it.
        oracle: By week, a candidate that knows what was still to come; none if `None`.
    """
    found = []
    for week in range(year.scenario.weeks):
        sunday = monday_of(week) - timedelta(days=1)
        known = [one for one in year.trainings if one.cutoff <= sunday]
        ways = {
            "never": year.trainings[0],
            "weekly": known[-1],
            "governed": [one for one in known if one.release_id][-1],
        }
        errors = {way: forecaster.wape_of(one.candidate, week) for way, one in ways.items()}
        if oracle and week in oracle:
            errors["oracle"] = forecaster.wape_of(oracle[week], week)
        found.append(WeekOfYear(week=week, age_days=(sunday - ways["governed"].cutoff).days, wape=errors))
    return found


def summary_of(year: Year, weeks: list[WeekOfYear]) -> dict[str, object]:
    """A year in numbers, for JSON."""
    refreshes = [one for one in year.trainings[1:] if one.run_id.startswith("scheduled__")]
    return {
        "scenario": year.scenario.name,
        "refreshes": len(refreshes),
        "released": sum(one.release_id is not None for one in refreshes),
        "requests": {str(day): name for day, name in year.requests.items()},
        "released_on_request": sum(
            one.release_id is not None for one in year.trainings if one.run_id.startswith("retraining_request__")
        ),
        "oldest_days": max(week.age_days for week in weeks),
        "mean_wape": {way: float(np.mean([week.wape[way] for week in weeks])) for way in WAYS},
        "held": {str(one.cutoff): one.reason for one in year.trainings if one.release_id is None},
        "weeks": [vars(week) for week in weeks],
    }


def worst_of_releases(forecaster: Forecaster, year: Year, *, weeks: int = 4) -> tuple[float, date]:
    """The most by which a release was worse than the one before it over its first weeks, as a share, and its cutoff."""
    released = [one for one in year.trainings if one.release_id]
    found = []
    for before, now in itertools.pairwise(released):
        first = (now.cutoff + timedelta(days=1) - monday_of(0)).days // 7
        span = range(max(first, 0), min(first + weeks, year.scenario.weeks))
        if span:
            own, other = (np.mean([forecaster.wape_of(one.candidate, week) for week in span]) for one in (now, before))
            found.append((float(own / other - 1), now.cutoff))
    return max(found)


def beside_first_release(year: Year, training: Training) -> pd.DataFrame:
    """A candidate's fold forecasts, with those of the first release as `champion`: it has learned from most of their days.

    It is what the gate judged by as long as it measured the champion on the candidate's folds.
    """
    declaration = Candidate.read(training.candidate).model.declaration
    keys = ["series_id", "business_date", "horizon_days"]
    rows = pd.read_parquet(training.candidate / FOLD_FORECASTS)
    frame = rows[keys].merge(pd.read_parquet(training.candidate.parent / FRAME), on=keys, validate="one_to_one")
    sample = Sample.of(columns_of(frame), declaration)
    first = Booster(Candidate.read(year.trainings[0].candidate).model.mean_text)
    return rows.assign(champion=mean_of(first, sample.rows, sample.expected, declaration))


def in_sample_gains(year: Year) -> dict[int, float]:
    """By week, the gain that candidates seem to have over the first release on their folds.

    Each is as good as the first release or better: all are of one recipe.
    """
    found = {}
    for one in year.trainings[1:]:
        rows = beside_first_release(year, one)
        actual, mean, known = (rows[name].to_numpy(float) for name in ("actual", "mean", "champion"))
        week = (one.cutoff + timedelta(days=1) - monday_of(0)).days // 7
        found[week] = 1 - wape(actual, mean) / wape(actual, known)
    return found


def draw_in_sample(apparent: Mapping[int, float], weeks: list[WeekOfYear], path: Path) -> None:
    """Draws what the comparison on learned days said beside what the weeks to come said of the same models."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.plot(
        *zip(*[(week, 100 * gain) for week, gain in apparent.items()], strict=True),
        color="#d9822b",
        label="on the candidate's folds, which the first release has learned from",
    )
    honest = [(week.week, 100 * (1 - week.wape["weekly"] / week.wape["never"])) for week in weeks]
    axes.plot(*zip(*honest, strict=True), color="#1f6fb2", label="in the week to come, which neither has seen")
    axes.set(xlabel="weeks since the first release's cutoff", ylabel="gain of the week's candidate, %")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw(years: Mapping[str, list[WeekOfYear]], path: Path) -> None:
    """Draws the error by week of every scenario, and how old what served was."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, rows = plt.subplots(
        len(years), 1, figsize=(10, 2.6 * len(years)), layout="constrained", sharex=False, squeeze=False
    )
    colours = {"never": "#d9822b", "weekly": "#8a8a8a", "governed": "#1f6fb2", "oracle": "#2a9d4a"}
    for (name, weeks), (axes,) in zip(years.items(), rows, strict=True):
        for way, label in {**WAYS, "oracle": "oracle of the new regime"}.items():
            told = [(week.week, 100 * week.wape[way]) for week in weeks if way in week.wape]
            if told:
                axes.plot(*zip(*told, strict=True), color=colours[way], label=label, linewidth=1.6)
        age = axes.twinx()
        age.bar([week.week for week in weeks], [week.age_days for week in weeks], color="#1f6fb2", alpha=0.15)
        age.set(ylabel="age, days", ylim=(0, 60))
        axes.set(title=name, ylabel="WAPE of the week, %")
    widest = max((axes for (axes,) in rows), key=lambda axes: len(axes.lines))
    figure.legend(*widest.get_legend_handles_labels(), loc="outside upper center", frameon=False, ncols=4, fontsize=9)
    rows[-1][0].set_xlabel("week")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _units(shop: Shop) -> dict[str, np.ndarray]:
    days, stores, items = shop.units.shape
    return {
        f"I{item:02d}@S{store}": shop.units[:, store, item] for store in range(stores) for item in range(items) if days
    }
