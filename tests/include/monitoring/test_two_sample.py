"""The tests against SciPy, and against loops that follow the definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, ks_2samp

from shelfcast.monitoring.two_sample import adjusted_p_values, ks_distance, ks_p_value

samples = st.lists(st.integers(-5, 5).map(float) | st.floats(-1e6, 1e6), min_size=1, max_size=40).map(np.array)
p_values = st.lists(st.floats(0, 1), max_size=25).map(lambda values: np.array(values, dtype=float))


def distance_by_counting(sample, reference):
    return max(abs(np.mean(sample <= x) - np.mean(reference <= x)) for x in [*sample, *reference])


def rejected_by_stepping_up(values, rate):
    """Benjamini and Hochberg as written: the largest k with p(k) <= k/m · rate, and all below it."""
    ordered = sorted(values)
    largest = 0
    for k in range(1, len(ordered) + 1):
        if ordered[k - 1] <= k / len(ordered) * rate:
            largest = k
    limit = ordered[largest - 1] if largest else -1.0
    return [value <= limit for value in values]


@given(samples, samples)
def test_the_distance_is_the_largest_gap(sample, reference):
    assert ks_distance(sample, reference) == pytest.approx(distance_by_counting(sample, reference), abs=1e-12)


@given(samples, samples)
def test_the_distance_takes_no_side_and_knows_no_order(sample, reference):
    assert ks_distance(sample, reference) == ks_distance(reference[::-1], sample[::-1])


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3, 1.0])
@pytest.mark.parametrize(("rows", "reference_rows"), [(30, 30), (200, 1600), (500, 77)])
def test_distance_and_p_value_are_scipys(shift, rows, reference_rows):
    rng = np.random.default_rng(rows)
    sample, reference = rng.normal(shift, size=rows), rng.normal(size=reference_rows)
    theirs = ks_2samp(sample, reference, method="asymp")
    distance = ks_distance(sample, reference)
    assert distance == pytest.approx(theirs.statistic)
    assert ks_p_value(distance, rows, reference_rows) == pytest.approx(theirs.pvalue, rel=1e-9, abs=1e-300)


def test_p_values_of_samples_of_one_kind_are_spread_evenly():
    """Shuffling instead of theory: the share below 5 % is 5 %."""
    rng = np.random.default_rng(0)
    below = 0
    for _ in range(400):
        both = rng.normal(size=300)
        below += ks_p_value(ks_distance(both[:100], both[100:]), 100, 200) < 0.05
    assert 0.02 <= below / 400 <= 0.085


@given(p_values)
def test_q_values_are_scipys(values):
    theirs = false_discovery_control(values) if len(values) else values
    np.testing.assert_allclose(adjusted_p_values(values), theirs, atol=1e-12)


@given(p_values, st.sampled_from([0.01, 0.05, 0.2]))
def test_q_values_reject_what_stepping_up_rejects(values, rate):
    # a value that lies within rounding of its limit may fall on either side
    ordered, count = np.sort(values), len(values)
    limits = rate * np.arange(1, count + 1) / max(count, 1)
    if np.any(np.abs(ordered - limits) < 1e-12):
        return
    assert (adjusted_p_values(values) <= rate).tolist() == rejected_by_stepping_up(values.tolist(), rate)


@given(p_values)
def test_q_values_follow_their_tests_when_these_are_shuffled(values):
    order = np.random.default_rng(len(values)).permutation(len(values))
    np.testing.assert_array_equal(adjusted_p_values(values[order]), adjusted_p_values(values)[order])
