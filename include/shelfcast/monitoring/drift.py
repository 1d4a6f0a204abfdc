"""Whether the newest inputs left their references, by feature, with the size of the move beside its significance.

A feature has drifted when four things hold: the samples differ beyond chance (false discovery rate over all
features); they differ enough to matter (two floors); the newest window departs further than the reference's own windows
do from each other, for days are good or bad for all series at once, which no test of independent rows knows; and all
this from *each* reference. The references are the same weekday of recent weeks and the same weeks of last year, so what
every week or every year brings is no drift.

A reference of too few windows cannot tell how days differ: a feature that has no other is not judged, neither as drifted
nor as steady.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from enum import StrEnum
from functools import cache
from math import isfinite

import numpy as np
import numpy.typing as npt
from scipy.stats import false_discovery_control, ks_2samp

Floats = npt.NDArray[np.float64]

Sample = Mapping[str, Floats]
"""One window: feature name to values, shape (rows,); NaN where unknown."""

FEWEST_WINDOWS = 4
"""Windows of a reference from which the spread between them can be told."""

MANY_WINDOWS = 8
"""Windows from which a departure is taken for what it is; from fewer it must be larger to say the same."""

DRAWS = 5000
"""Of windows without a drift, to see how far chance alone departs."""

TO_NORMAL_SPREAD = 1.4826
"""A median absolute deviation, times this, estimates a normal distribution's standard deviation."""


class FeatureState(StrEnum):
    """How a feature was judged, or why it was not."""

    DRIFTED = "drifted"
    STEADY = "steady"
    CONSTANT = "constant"
    """One and the same value everywhere: nothing to test, and no drift."""
    ALL_MISSING = "all_missing"
    """No value in the newest window."""
    TOO_FEW_ROWS = "too_few_rows"
    """Too few values in the newest window to say anything."""
    NO_REFERENCE = "no_reference"
    """Too few values or windows in every reference, as in the first weeks of a shop: nothing is said about drift."""


JUDGED = frozenset({FeatureState.DRIFTED, FeatureState.STEADY, FeatureState.CONSTANT})


@dataclass(frozen=True, kw_only=True)
class DriftRules:
    """When a difference is called drift.

    Attributes:
        false_discovery_rate: Share of false alarms among alarms, 0 to 1, over the features of one check.
        minimum_distance: Least Kolmogorov-Smirnov distance, 0 to 1.
        minimum_shift: Least move of the mean, in standard deviations of the reference's rows.
        minimum_departure: Least move of the mean, in standard deviations of the means of the reference's windows; with
            few windows more (see `least_departure`).
        minimum_rows: Fewest values in a sample that are judged, 2 or more.
    """

    false_discovery_rate: float = 0.01
    minimum_distance: float = 0.15
    minimum_shift: float = 0.3
    minimum_departure: float = 2.2
    minimum_rows: int = 30


@dataclass(frozen=True, kw_only=True)
class FeatureDrift:
    """What a check found out about one feature, against the reference it is nearest to.

    Attributes:
        feature: Name of the tested quantity.
        state: How it was judged.
        reference: Name of the nearest reference; `None` if there was none to compare with.
        rows: Values in the newest window.
        reference_rows: Values in that reference.
        reference_windows: Windows with values in that reference.
        distance: Kolmogorov-Smirnov distance, 0 to 1; NaN if not tested.
        shift: Move of the mean in standard deviations of the reference's rows, above 0 is more; NaN if not tested.
        departure: The same in standard deviations between the reference's windows; NaN if not tested.
        p_value: Of the test, 0 to 1; NaN if not tested.
        q_value: The same after the multiple-test control; NaN if not tested.
    """

    feature: str
    state: FeatureState
    reference: str | None = None
    rows: int = 0
    reference_rows: int = 0
    reference_windows: int = 0
    distance: float = float("nan")
    shift: float = float("nan")
    departure: float = float("nan")
    p_value: float = float("nan")
    q_value: float = float("nan")

    def as_dict(self) -> dict[str, object]:
        """For a table row; numbers that do not exist are `None`."""
        row = asdict(self) | {"state": self.state.value}
        return {
            name: None if isinstance(value, float) and not isfinite(value) else value for name, value in row.items()
        }


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """One check: a business date and all its features.

    Attributes:
        business_date: The newest window.
        features: In the order in which they were given.
    """

    business_date: date
    features: tuple[FeatureDrift, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the features that drifted."""
        return tuple(found.feature for found in self.features if found.state is FeatureState.DRIFTED)

    @property
    def judged(self) -> tuple[str, ...]:
        """Names of the features that could be judged."""
        return tuple(found.feature for found in self.features if found.state in JUDGED)


def check_drift(
    newest: Sample,
    references: Mapping[str, Sequence[Sample]],
    *,
    business_date: date,
    rules: DriftRules | None = None,
) -> DriftReport:
    """Tests each feature of the newest window against each reference and keeps the comparison that differs least.

    Args:
        newest: The newest window.
        references: Reference name to its windows, one a date, with the same features; any may be empty.
        business_date: Date of the newest window.
        rules: Levels and floors.
    """
    rules = rules or DriftRules()
    found = [_nearest(name, values, references, rules) for name, values in newest.items()]
    tested = [position for position, feature in enumerate(found) if np.isfinite(feature.p_value)]
    q_values = false_discovery_control([found[position].p_value for position in tested])  # Benjamini and Hochberg
    for position, q_value in zip(tested, q_values.tolist(), strict=True):
        measured = replace(found[position], q_value=q_value)
        found[position] = replace(measured, state=_judgement(measured, rules))
    return DriftReport(business_date=business_date, features=tuple(found))


def _nearest(
    feature: str, values: Floats, references: Mapping[str, Sequence[Sample]], rules: DriftRules
) -> FeatureDrift:
    known = _known(values)
    measured = FeatureDrift(feature=feature, state=FeatureState.STEADY, rows=len(known))
    if len(known) < rules.minimum_rows:
        return replace(measured, state=FeatureState.TOO_FEW_ROWS if len(known) else FeatureState.ALL_MISSING)
    others = {name: _with_values(windows, feature) for name, windows in references.items()}
    usable = {name: windows for name, windows in others.items() if _can_tell(windows, rules)}
    if not usable:
        return replace(measured, state=FeatureState.NO_REFERENCE)
    compared = [_compared(measured, known, name, windows) for name, windows in usable.items()]
    return min(compared, key=lambda comparison: (_is_large(comparison, rules), comparison.distance))


def _with_values(windows: Sequence[Sample], feature: str) -> list[Floats]:
    known = (_known(window[feature]) for window in windows)
    return [values for values in known if len(values)]


def _can_tell(windows: Sequence[Floats], rules: DriftRules) -> bool:
    return len(windows) >= FEWEST_WINDOWS and sum(map(len, windows)) >= rules.minimum_rows


def _known(values: Floats) -> Floats:
    return values[np.isfinite(values)]


def _compared(measured: FeatureDrift, known: Floats, name: str, windows: Sequence[Floats]) -> FeatureDrift:
    other = np.concatenate(windows)
    measured = replace(measured, reference=name, reference_rows=len(other), reference_windows=len(windows))
    if known.min() == known.max() == other.min() == other.max():
        return replace(measured, state=FeatureState.CONSTANT, distance=0.0, shift=0.0)
    test = ks_2samp(known, other, method="asymp")  # ties make its p-value too large, never too small
    return replace(
        measured,
        distance=float(test.statistic),
        shift=_standardised_shift(known, other),
        departure=_departure(float(np.mean(known)), [float(np.mean(window)) for window in windows]),
        p_value=float(test.pvalue),
    )


def _standardised_shift(known: Floats, other: Floats) -> float:
    """Difference of means over the reference's standard deviation, or over both samples' if the reference is flat."""
    spread = float(np.std(other)) or float(np.std(np.concatenate([known, other])))
    return float(np.mean(known) - np.mean(other)) / spread


def _departure(newest: float, means: Sequence[float]) -> float:
    """Robust, so that one holiday among the reference's windows does not hide every shift."""
    centre = float(np.median(means))
    spread = TO_NORMAL_SPREAD * float(np.median(np.abs(np.array(means) - centre)))
    move = newest - centre
    return move / spread if spread else float(np.copysign(np.inf, move)) if move else 0.0


@cache
def least_departure(windows: int, minimum: float) -> float:
    """Departure that chance exceeds from so many windows no more often than `minimum` from `MANY_WINDOWS`.

    Args:
        windows: Of the reference, 2 or more.
        minimum: In standard deviations, 0 or more.
    """
    if windows >= MANY_WINDOWS:
        return minimum
    chance = float(np.mean(_departures_by_chance(MANY_WINDOWS) > minimum))
    return float(np.quantile(_departures_by_chance(windows), 1 - chance))


def _departures_by_chance(windows: int) -> Floats:
    """Departures without a drift: centre and spread of few windows are uncertain themselves, which widens them."""
    rng = np.random.default_rng(windows)
    return np.array([abs(_departure(newest, means)) for newest, *means in rng.normal(size=(DRAWS, windows + 1))])


def _is_large(measured: FeatureDrift, rules: DriftRules) -> bool:
    is_large = measured.distance >= rules.minimum_distance and abs(measured.shift) >= rules.minimum_shift
    if not is_large:  # also what was not tested
        return False
    return abs(measured.departure) >= least_departure(measured.reference_windows, rules.minimum_departure)


def _judgement(measured: FeatureDrift, rules: DriftRules) -> FeatureState:
    is_beyond_chance = measured.q_value <= rules.false_discovery_rate
    return FeatureState.DRIFTED if is_beyond_chance and _is_large(measured, rules) else FeatureState.STEADY
