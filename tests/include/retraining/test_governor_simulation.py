"""Drift check, realised error and governor together, over many simulated shops: one request a shift, none without."""

from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pytest

from shelfcast.monitoring.drift import DriftRules, check_drift
from shelfcast.retraining.governor import GovernorRules, Outcome, Request, decide
from shelfcast.retraining.windows import ErrorRules, Observation, judge

SERIES = 120
HISTORY_DAYS = 480
WATCHED_DAYS = 60
DAYS = HISTORY_DAYS + WATCHED_DAYS
FIRST_DAY = date(2024, 1, 1)
SEEDS = range(20)
NO_FLOOR = DriftRules(minimum_distance=0.0, minimum_shift=0.0, minimum_departure=0.0)


@dataclass(frozen=True, kw_only=True)
class Shop:
    """Units sold, and which of them were sold on promotion; both of shape (days, series)."""

    units: np.ndarray
    on_promotion: np.ndarray


def simulated(seed, *, series=SERIES, shift_from=None, factor=1.0, outlier_on=None):
    """A shop with trend, weekly and yearly season, promotions of items and of the whole shop, and days out of line."""
    rng = np.random.default_rng(seed)
    day = np.arange(DAYS)[:, None]
    level = rng.lognormal(1.6, 0.9, series)
    weekly = rng.dirichlet(np.full(7, 12.0), series).T[np.arange(DAYS) % 7] * 7
    yearly = np.exp(rng.uniform(0.1, 0.35, series) * np.cos(2 * np.pi * (day - rng.uniform(0, 365)) / 365))
    trend = np.exp(rng.normal(0, 0.1, series) * day / 365)
    own = (rng.random((DAYS // 7 + 1, series)) < 0.08).repeat(7, axis=0)[:DAYS]
    shared = (rng.random(DAYS // 7 + 1) < 0.15).repeat(7)[:DAYS, None]
    on_promotion = own | shared
    uplift = np.where(on_promotion, rng.uniform(1.3, 1.9, series), 1.0)
    weather = np.zeros(DAYS)
    for today in range(1, DAYS):
        weather[today] = 0.5 * weather[today - 1] + rng.normal(0, 0.05)
    rate = level * weekly * yearly * trend * uplift * np.exp(weather)[:, None]
    if shift_from is not None:
        rate[shift_from:] *= factor
    if outlier_on is not None:
        rate[outlier_on] *= 2.5
    units = rng.poisson(rate * rng.gamma(8, 1 / 8, rate.shape)).astype(float)
    return Shop(units=units, on_promotion=on_promotion)


def trailing_mean(values, days, *, step=1):
    """Mean over the last `days` days, of which every `step`-th counts; NaN entries do not."""
    known, filled = np.isfinite(values), np.nan_to_num(values)
    total, count = filled.copy(), known.astype(float)
    for cumulated in (total, count):
        for today in range(step, len(values)):
            cumulated[today] += cumulated[today - step]
    for cumulated in (total, count):
        cumulated[days:] -= cumulated[:-days].copy()
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / count


def expected_units(shop, *, known_days_before):
    """The year's profile of the weekday with or without promotion, at the level of four weeks, as known days before."""
    on_regular_days = np.where(shop.on_promotion, np.nan, shop.units)
    regular = trailing_mean(on_regular_days, 364, step=7)
    with np.errstate(invalid="ignore", divide="ignore"):
        uplift = trailing_mean(np.where(shop.on_promotion, shop.units, np.nan), 364)
        uplift = np.nan_to_num(uplift / trailing_mean(on_regular_days, 364), nan=1.0, posinf=1.0)
        level = regular_level(shop, uplift, 28) / regular_level(shop, uplift, 364)
    lag = known_days_before
    profile = np.roll(regular, 7, axis=0) if lag else regular
    factor = np.where(shop.on_promotion, np.roll(uplift, lag, axis=0), 1.0)
    return profile * np.roll(level, lag, axis=0) * factor


def regular_level(shop, uplift, days):
    """Mean units a day with the promotions of those days taken out."""
    return trailing_mean(shop.units, days) / (1 + trailing_mean(shop.on_promotion.astype(float), days) * (uplift - 1))


def quantities(shop):
    """What `sql/monitoring/drift_samples.sql` makes of the features, on every day."""
    expected = expected_units(shop, known_days_before=0)
    mean = trailing_mean(shop.units, 28)
    spread = np.sqrt(np.maximum(trailing_mean(shop.units**2, 28) - mean**2, 0))
    return {
        "demand_level": np.log((shop.units + 0.5) / (expected + 0.5)),
        "demand_variability": np.log((spread + 0.5) / (np.sqrt(mean) + 0.5)),
        "zero_share": trailing_mean((shop.units == 0).astype(float), 28),
    }


def observed(shop, *, drift_rules=None, forecast_from=0):
    """Monitoring of the watched days."""
    tested, forecast = quantities(shop), expected_units(shop, known_days_before=1)
    found = []
    for today in range(HISTORY_DAYS, DAYS):
        references = {
            "recent_weeks": today - 7 * np.arange(1, 9),
            "last_year": today - 364 + 7 * np.arange(-4, 5),
        }
        report = check_drift(
            {name: values[today] for name, values in tested.items()},
            {
                label: [{name: values[day] for name, values in tested.items()} for day in days]
                for label, days in references.items()
            },
            business_date=FIRST_DAY + timedelta(days=today),
            rules=drift_rules,
        )
        seen = Observation(
            business_date=report.business_date, features_judged=len(report.judged), drifted=report.drifted
        )
        actual = shop.units[today]
        if today < forecast_from:
            found.append(replace(seen, score_state="no_forecasts"))
            continue
        bias = float(forecast[today].sum() / actual.sum() - 1)
        wape = float(np.abs(forecast[today] - actual).sum() / actual.sum())
        found.append(replace(seen, bias=bias, wape=wape))
    return found


def requests_of(observations, *, error_rules=None, rules=None):
    """Runs the governor day by day; a retraining takes two days, and after it the shop stays as it is."""
    windows, asked = judge(observations, error_rules), []
    for window in windows:
        today = window.business_date
        in_flight = any((today - one.business_date).days < 2 for one in asked)
        decision = decide(
            windows, business_date=today, model="demand", requests=asked, is_retraining_in_flight=in_flight, rules=rules
        )
        if decision.outcome is Outcome.REQUEST:
            asked.append(Request(decision_id=decision.decision_id, business_date=today))
    return asked


@pytest.fixture(scope="module")
def quiet_shops():
    return [observed(simulated(seed)) for seed in SEEDS]


def test_sixty_days_without_shift_ask_for_nothing(quiet_shops):
    asked = {seed: requests_of(shop) for seed, shop in zip(SEEDS, quiet_shops, strict=True)}
    assert {seed: found for seed, found in asked.items() if found} == {}


@pytest.mark.parametrize("factor", [1.8, 0.5])
@pytest.mark.parametrize("seed", SEEDS[::5])
@pytest.mark.parametrize("days_since_release", [1, 20])
def test_a_shift_is_asked_for_once_on_its_third_day(seed, factor, days_since_release):
    first = HISTORY_DAYS + 25
    shop = simulated(seed, shift_from=first, factor=factor)
    observations = observed(shop, forecast_from=first - days_since_release)
    third = FIRST_DAY + timedelta(days=first + 2)
    until = [seen for seen in observations if seen.business_date <= third + timedelta(days=14)]
    [request] = requests_of(until)
    assert request.business_date == third
    assert request.decision_id == f"demand_shift_since_{third - timedelta(days=2)}"


def test_a_smaller_shift_is_mostly_found_on_its_third_day():
    first = HISTORY_DAYS + 25
    third = FIRST_DAY + timedelta(days=first + 2)
    found = [requests_of(observed(simulated(seed, shift_from=first, factor=1.6))) for seed in SEEDS[::2]]
    assert sum(requests != [] and requests[0].business_date == third for requests in found) >= 8


@pytest.mark.parametrize("seed", SEEDS[::5])
def test_one_day_out_of_line_asks_for_nothing(seed):
    observations = observed(simulated(seed, outlier_on=HISTORY_DAYS + 25))
    states = [window.state.value for window in judge(observations)]
    assert states[25] == "confirmed"
    assert requests_of(observations) == []


def test_without_the_confirmation_by_errors_quiet_shops_ask(quiet_shops):
    """Negative control."""
    assert any(requests_of(shop, error_rules=ErrorRules(must_err=False)) for shop in quiet_shops)


def test_without_the_effect_floor_a_large_shop_drifts_all_the_time():
    """Negative control: with enough series, significance alone calls every good or bad day a drift."""
    large = simulated(1, series=8 * SERIES)
    days = {
        floor: sum(bool(seen.drifted) for seen in observed(large, drift_rules=rules))
        for floor, rules in (("on", DriftRules()), ("off", NO_FLOOR))
    }
    assert days["off"] >= 20
    assert days["off"] >= 4 * days["on"]


def test_without_floor_and_confirmation_three_windows_are_no_protection():
    """Negative control."""
    observations = observed(simulated(1, series=8 * SERIES), drift_rules=NO_FLOOR)
    assert requests_of(observations, error_rules=ErrorRules(must_err=False))


def test_without_patience_a_single_day_asks():
    """Negative control."""
    observations = observed(simulated(0, outlier_on=HISTORY_DAYS + 25))
    assert len(requests_of(observations, rules=GovernorRules(confirmed_windows=1))) >= 1
