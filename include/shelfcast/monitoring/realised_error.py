"""What the forecasts of the past turned out to be worth, once their days are over.

Two scores a business date: yesterday's forecasts for today (quick to show a shift, noisy), and last week's forecasts
for the seven days since (slow, steady). Both beside the simple methods on the same rows and the error that the release
promised by its folds for the same days ahead.
"""

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from enum import StrEnum

import pandas as pd

from shelfcast.cold_store.cold_store import ColdStore
from shelfcast.cold_store.feature_views import closed_at
from shelfcast.deployment import bundle
from shelfcast.deployment.promise import Expectation, promised
from shelfcast.errors import PostConditionFailed
from shelfcast.serving.vintage import prepare_ledger
from shelfcast.storage import Location

NEXT_DAY = (1, 1)
NEXT_WEEK = (1, 7)
HORIZONS = (NEXT_DAY, NEXT_WEEK)
"""First and last day ahead of each score; the vintage is as many days old as the last one."""


class ScoreState(StrEnum):
    """Whether a vintage could be scored, or why not."""

    SCORED = "scored"
    NO_FORECASTS = "no_forecasts"
    """The ledger has no forecasts of that vintage that were made without hindsight: before the first release, or a day
    was missed."""
    NOTHING_COUNTABLE = "nothing_countable"
    """All stores were closed or all shelves empty."""
    NO_SALES = "no_sales"
    """Nothing was sold, so no error has a meaning as a share of it."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """Errors of one vintage; `None` where the state is not `scored`.

    Attributes:
        business_date: The vintage: the date at whose close the forecasts were made.
        scored_on: The date at whose close the actuals were known.
        horizon_from, horizon_to: First and last day ahead, 1 or more.
        state: Whether there is a score.
        release_id: Release that made the forecasts.
        wape: Sum of absolute errors over the sum of actuals.
        bias: Forecast total over actual total, minus 1: above 0 is too much.
        coverage_90: Share of actuals between the 5 % and 95 % quantiles, 0 to 1.
        series_count, row_count: What was measured.
        strongest_simple_wape: The lesser of the seasonal naive method's and the weekday mean's on the same rows.
        expected_wape, expected_bias: Of the release's folds on the same days ahead; `None` if the release is not there
            any more or does not say.
    """

    business_date: date
    scored_on: date
    horizon_from: int
    horizon_to: int
    state: ScoreState
    release_id: str | None
    wape: float | None
    bias: float | None
    coverage_90: float | None
    series_count: int
    row_count: int
    strongest_simple_wape: float | None
    expected_wape: float | None = None
    expected_bias: float | None = None


def expectation_of(release_id: str | None, releases: Location, *, horizon: tuple[int, int]) -> Expectation | None:
    """What a release promised; `None` if its bundle is not there any more or does not say.

    Args:
        release_id: From the ledger.
        releases: Folder of the model's releases.
        horizon: First and last day ahead of the promise, which are those of the error that is held to it.

    Raises:
        BundleError: The bundle is there and damaged.
    """
    folder = releases / str(release_id)
    if release_id is None or not folder.is_dir():
        return None
    first, last = horizon
    return promised(bundle.load(folder).metrics, first_day=first, last_day=last)


def score_vintages(store: ColdStore, scored_on: date, *, releases: Location) -> list[Score]:
    """Scores the vintages whose last day is `scored_on` and replaces that date's rows in `FORECASTS.SCORES`.

    Args:
        store: The cold store.
        scored_on: A complete business date.
        releases: Folder of the model's releases.

    Raises:
        NothingToDo: The date is not complete.
        PostConditionFailed: The table does not hold what was written.
    """
    store.run("monitoring/create_scores")
    prepare_ledger(store)
    store.run("monitoring/create_scored_forecasts")
    known_until = closed_at(store, scored_on)
    scores = [_score(store, scored_on, horizon, known_until, releases) for horizon in HORIZONS]
    with store.transaction():
        store.run("monitoring/delete_scores", {"scored_on": scored_on})
        for score in scores:
            store.run("monitoring/insert_score", {**asdict(score), "state": score.state.value})
    found = store.fetch("monitoring/count_scores", {"scored_on": scored_on}).iloc[0]
    if not int(found["row_count"]) == int(found["vintages"]) == len(scores):
        raise PostConditionFailed(
            f"FORECASTS.SCORES holds {found['row_count']} rows of {found['vintages']} vintages scored on {scored_on}, "
            f"expected {len(scores)}. Two runs wrote at the same time; clear this task."
        )
    return scores


def _score(
    store: ColdStore, scored_on: date, horizon: tuple[int, int], known_until: object, releases: Location
) -> Score:
    first, last = horizon
    vintage = scored_on - timedelta(days=last)
    keys = {"business_date": vintage, "scored_on": scored_on, "horizon_from": first, "horizon_to": last}
    row = store.fetch("monitoring/score_vintage", {**keys, "known_until": known_until}).iloc[0]
    release_id = None if pd.isna(row["release_id"]) else str(row["release_id"])
    state = _state(row)
    expected = expectation_of(release_id, releases, horizon=horizon)
    is_scored = state is ScoreState.SCORED
    return Score(
        business_date=vintage,
        scored_on=scored_on,
        horizon_from=first,
        horizon_to=last,
        state=state,
        release_id=release_id,
        wape=_number(row, "wape") if is_scored else None,
        bias=_number(row, "bias") if is_scored else None,
        coverage_90=_number(row, "coverage_90") if is_scored else None,
        series_count=int(row["series_count"]),
        row_count=int(row["row_count"]),
        strongest_simple_wape=_number(row, "strongest_simple_wape") if is_scored else None,
        expected_wape=expected.wape if expected else None,
        expected_bias=expected.bias if expected else None,
    )


def _state(row: "pd.Series[float]") -> ScoreState:
    if not int(row["forecast_count"]):
        return ScoreState.NO_FORECASTS
    if not int(row["row_count"]):
        return ScoreState.NOTHING_COUNTABLE
    return ScoreState.NO_SALES if pd.isna(row["wape"]) else ScoreState.SCORED


def _number(row: "pd.Series[float]", name: str) -> float | None:
    return None if pd.isna(row[name]) else float(row[name])
