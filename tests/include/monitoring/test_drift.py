"""What is drift, what is not, and what cannot be judged."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.monitoring import drift
from shelfcast.monitoring.drift import FEWEST_WINDOWS, MANY_WINDOWS, DriftRules, FeatureState, check_drift

DAY = date(2025, 7, 3)


def normal(rows, *, mean=0.0, spread=1.0, seed=0):
    return np.random.default_rng(seed).normal(mean, spread, rows)


def weeks(sample, number=8):
    """A reference's rows as windows."""
    parts = {name: np.array_split(values, number) for name, values in sample.items()}
    return [{name: values[at] for name, values in parts.items()} for at in range(number)]


def check_one(values, *references, rules=None):
    labelled = {f"reference_{number}": weeks({"x": reference}) for number, reference in enumerate(references)}
    report = check_drift({"x": values}, labelled, business_date=DAY, rules=rules)
    return report.features[0]


def test_a_shift_is_found_with_its_size():
    found = check_one(normal(200, mean=1.0), normal(1600, seed=1))
    assert found.state is FeatureState.DRIFTED
    assert found.shift == pytest.approx(1.0, abs=0.2)
    assert found.distance == pytest.approx(0.38, abs=0.08)
    assert found.q_value <= 0.01
    assert (found.rows, found.reference_rows, found.reference) == (200, 1600, "reference_0")


values = st.integers(-5, 5).map(float) | st.floats(-1e6, 1e6).map(lambda value: round(value, 3))
NO_FLOORS = DriftRules(minimum_distance=0, minimum_shift=0, minimum_departure=0, minimum_rows=2)


@given(st.lists(values, min_size=2, max_size=40).map(np.array), st.lists(values, min_size=8, max_size=40).map(np.array))
def test_the_distance_is_the_largest_gap_between_the_shares_below_a_value(newest, reference):
    by_counting = max(abs(np.mean(newest <= x) - np.mean(reference <= x)) for x in [*newest, *reference])
    assert check_one(newest, reference, rules=NO_FLOORS).distance == pytest.approx(by_counting, abs=1e-12)


def test_p_values_of_samples_of_one_kind_are_spread_evenly():
    """Shuffling instead of theory: the share below 5 % is 5 %."""
    rng = np.random.default_rng(0)
    samples = [rng.normal(size=300) for _ in range(400)]
    below = sum(check_one(both[:100], both[100:]).p_value < 0.05 for both in samples)
    assert 0.02 <= below / 400 <= 0.085


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2, 0.5])
@pytest.mark.parametrize("features", [1, 2, 20])
def test_features_beyond_chance_are_those_that_stepping_up_rejects(features, rate):
    """Benjamini and Hochberg as written: the largest k with p(k) <= k/m · rate, and all below it."""
    rng = np.random.default_rng(features)
    newest = {f"f{number}": rng.normal(number / 20, size=100) for number in range(features)}
    reference = weeks({name: rng.normal(size=300) for name in newest})
    rules = replace(NO_FLOORS, false_discovery_rate=rate)
    report = check_drift(newest, {"recent": reference}, business_date=DAY, rules=rules)
    ordered = sorted(found.p_value for found in report.features)
    limit = max((p for k, p in enumerate(ordered, 1) if p <= k / features * rate), default=-1.0)
    assert report.drifted == tuple(found.feature for found in report.features if found.p_value <= limit)


MISSING = np.full(200, np.nan)


@pytest.mark.parametrize(
    ("newest", "reference", "state"),
    [
        (normal(200), normal(1600, seed=1), FeatureState.STEADY),
        (np.full(200, 3.0), np.full(1600, 3.0), FeatureState.CONSTANT),
        (np.full(200, 3.5), np.full(1600, 3.0), FeatureState.DRIFTED),
        (MISSING, normal(1600), FeatureState.ALL_MISSING),
        (np.array([]), normal(1600), FeatureState.ALL_MISSING),
        (normal(29, mean=9), normal(1600), FeatureState.TOO_FEW_ROWS),
        (np.r_[normal(29, mean=9), MISSING], normal(1600), FeatureState.TOO_FEW_ROWS),
        (normal(200, mean=9), normal(29), FeatureState.NO_REFERENCE),
        (normal(200, mean=9), MISSING, FeatureState.NO_REFERENCE),
        (np.r_[normal(200, mean=1), [np.inf, -np.inf, np.nan]], normal(1600, seed=1), FeatureState.DRIFTED),
    ],
)
def test_what_cannot_be_tested_has_a_name(newest, reference, state):
    assert check_one(newest, reference).state is state


def test_without_any_reference_nothing_is_judged():
    report = check_drift({"x": normal(200)}, {}, business_date=DAY)
    assert report.features[0].state is FeatureState.NO_REFERENCE
    assert report.judged == report.drifted == ()


def test_what_came_last_year_too_is_no_drift():
    december, recent, last_december = normal(200, mean=1.0), normal(1600, seed=1), normal(1600, mean=1.0, seed=2)
    assert check_one(december, recent, last_december).state is FeatureState.STEADY
    assert check_one(december, recent, last_december).reference == "reference_1"
    assert check_one(december, recent).state is FeatureState.DRIFTED
    assert check_one(december, recent, np.array([])).state is FeatureState.DRIFTED


def test_a_difference_beyond_chance_that_does_not_matter_is_no_drift():
    newest, reference = normal(20_000, mean=0.1), normal(20_000, seed=1)
    found = check_one(newest, reference)
    assert found.q_value < 1e-6
    assert found.state is FeatureState.STEADY
    assert (
        check_one(newest, reference, rules=DriftRules(minimum_distance=0, minimum_shift=0)).state
        is FeatureState.DRIFTED
    )


@pytest.mark.parametrize("floor", [{"minimum_distance": 0.99}, {"minimum_shift": 9.0}])
def test_either_floor_alone_holds_a_drift_back(floor):
    assert check_one(normal(200, mean=1), normal(1600, seed=1), rules=DriftRules(**floor)).state is FeatureState.STEADY


def days(number, *, shared, seed=0):
    """Windows whose rows move together from day to day by `shared` standard deviations of a row."""
    rng = np.random.default_rng(seed)
    return [{"x": rng.normal(rng.normal(0, shared), 1, 200)} for _ in range(number)]


@pytest.mark.parametrize(
    ("shared", "move", "state"),
    [
        (0.5, 0.6, FeatureState.STEADY),
        (0.5, 3.0, FeatureState.DRIFTED),
        (0.05, 0.6, FeatureState.DRIFTED),
    ],
)
def test_a_good_day_for_all_is_measured_by_good_and_bad_days(shared, move, state):
    report = check_drift({"x": normal(200, mean=move)}, {"recent": days(40, shared=shared)}, business_date=DAY)
    assert report.features[0].state is state


def test_without_that_measure_every_good_or_bad_day_is_a_drift():
    """Negative control."""
    quiet = [days(9, shared=0.5, seed=seed) for seed in range(20)]
    alarms = {
        floor: sum(
            bool(check_drift(newest, {"recent": past}, business_date=DAY, rules=rules).drifted)
            for newest, *past in quiet
        )
        for floor, rules in (("on", DriftRules()), ("off", DriftRules(minimum_departure=0)))
    }
    assert alarms["off"] >= 8
    assert alarms["on"] <= 3


def alarms_without_drift(windows, *, checks=200):
    """Share of checks of a shop with good and bad days and no drift that say drift, and the states that were told."""
    rng, alarms, states = np.random.default_rng(windows), 0, set()
    for _ in range(checks):
        newest, *past = [{"x": rng.normal(rng.normal(0, 0.5), 1, 200)} for _ in range(windows + 1)]
        report = check_drift(newest, {"recent": past}, business_date=DAY)
        alarms += bool(report.drifted)
        states.add(report.features[0].state)
    return alarms / checks, states


@pytest.mark.parametrize("windows", range(FEWEST_WINDOWS))
def test_a_reference_of_too_few_weeks_says_neither_drift_nor_steady(windows):
    assert alarms_without_drift(windows, checks=40) == (0.0, {FeatureState.NO_REFERENCE})
    [found] = check_drift(
        {"x": np.full(40, 3.0)}, {"recent": [{"x": np.full(40, 3.0)}] * windows}, business_date=DAY
    ).features
    assert found.state is FeatureState.NO_REFERENCE
    assert (found.reference, found.as_dict()["departure"]) == (None, None)


def test_weeks_without_a_value_of_the_feature_are_no_weeks():
    past = [*days(FEWEST_WINDOWS - 1, shared=0.5), *[{"x": MISSING}] * 9]
    report = check_drift({"x": normal(200, mean=9)}, {"recent": past}, business_date=DAY)
    assert report.features[0].state is FeatureState.NO_REFERENCE
    assert report.judged == ()


def test_a_reference_of_too_few_weeks_leaves_the_word_to_the_other():
    few, many = days(FEWEST_WINDOWS - 1, shared=0.0), [{"x": window["x"] + 9} for window in days(9, shared=0.1)]
    [found] = check_drift({"x": normal(200)}, {"few": few, "many": many}, business_date=DAY).features
    assert (found.state, found.reference) == (FeatureState.DRIFTED, "many")


def test_few_weeks_make_no_more_false_alarms_than_many():
    usual, _ = alarms_without_drift(MANY_WINDOWS)
    shares = {windows: alarms_without_drift(windows)[0] for windows in range(FEWEST_WINDOWS, MANY_WINDOWS)}
    assert max(shares.values()) <= usual + 0.05, shares


def test_a_drift_is_still_found_with_the_fewest_weeks():
    past = days(FEWEST_WINDOWS, shared=0.1)
    assert check_drift({"x": normal(200, mean=1.5)}, {"recent": past}, business_date=DAY).drifted == ("x",)


@pytest.mark.parametrize("windows", range(1, FEWEST_WINDOWS))
def test_without_a_least_number_of_weeks_good_and_bad_days_are_drifts(windows, monkeypatch):
    """Negative control: so few say nothing about how days differ, so the other tests decide alone."""
    monkeypatch.setattr(drift, "FEWEST_WINDOWS", 1)
    monkeypatch.setattr(drift, "least_departure", lambda *_: 0.0)
    share, states = alarms_without_drift(windows)
    assert share > 0.25
    assert FeatureState.NO_REFERENCE not in states


@pytest.mark.parametrize(
    ("means", "newest", "departure"),
    [
        ([1, 2, 3, 4, 5], 3.0, 0.0),
        ([1, 2, 3, 4, 5], 4.4826, 1.0),
        ([1, 2, 3, 4, 500], 1.5174, -1.0),
        ([3, 3, 3, 3], 3.5, np.inf),
        ([3, 3, 3, 3], 2.5, -np.inf),
        ([3, 3, 3, 3, 9], 3.0, 0.0),
        ([1, 2, 3], 9.0, np.nan),
    ],
)
def test_the_departure_is_robust_and_has_a_value_for_flat_references(means, newest, departure):
    windows = [{"x": np.full(40, float(mean))} for mean in means] + [{"x": np.array([])}]
    found = check_drift({"x": np.full(40, newest)}, {"recent": windows}, business_date=DAY).features[0]
    assert found.departure == pytest.approx(departure, nan_ok=True)
    assert found.as_dict()["departure"] == (pytest.approx(departure) if np.isfinite(departure) else None)


def test_many_quiet_features_hide_no_shift_and_make_no_alarm():
    rng = np.random.default_rng(3)
    newest = {f"f{number}": rng.normal(size=200) for number in range(40)}
    reference = {name: rng.normal(size=1600) for name in newest}
    newest["f7"] = newest["f7"] + 0.6
    report = check_drift(newest, {"recent": weeks(reference)}, business_date=DAY)
    assert report.drifted == ("f7",)
    assert len(report.judged) == 40


def test_without_the_multiple_test_control_quiet_features_make_alarms():
    """Negative control: the same features, each at its own p < 5 % and without a floor."""
    rng = np.random.default_rng(3)
    alarms, controlled = 0, 0
    loose = DriftRules(false_discovery_rate=0.01, minimum_distance=0, minimum_shift=0, minimum_departure=0)
    for _ in range(20):
        newest = {f"f{number}": rng.normal(size=100) for number in range(40)}
        reference = {name: rng.normal(size=800) for name in newest}
        report = check_drift(newest, {"recent": weeks(reference)}, business_date=DAY, rules=loose)
        alarms += any(found.p_value < 0.05 for found in report.features)
        controlled += bool(report.drifted)
    assert alarms >= 14
    assert controlled <= 2


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 100), st.floats(-50, 50))
def test_scale_origin_and_order_of_the_rows_do_not_matter(seed, scale, origin):
    rng = np.random.default_rng(seed)
    newest, reference = rng.normal(0.5, 1, 80), rng.normal(size=300)
    plain = check_one(newest, reference)
    changed = check_one(rng.permutation(newest) * scale + origin, rng.permutation(reference) * scale + origin)
    assert changed.distance == pytest.approx(plain.distance, abs=1 / 80)
    assert changed.shift == pytest.approx(plain.shift, rel=1e-6)


def test_a_table_row_has_no_nan_and_a_plain_state():
    row = check_one(MISSING, normal(200)).as_dict()
    assert row["distance"] is None
    assert row["q_value"] is None
    assert type(row["state"]) is str
    assert row["state"] == "all_missing"
