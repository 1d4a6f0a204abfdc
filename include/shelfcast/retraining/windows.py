"""What one business date says about a model: did its inputs move, and were its forecasts worse than they should be?"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum

import numpy as np

SCORED = "scored"
TO_NORMAL_SPREAD = 1.4826
"""A median absolute deviation, times this, estimates a normal distribution's standard deviation."""


class WindowState(StrEnum):
    """How a business date was judged, or why it could not be."""

    CONFIRMED = "confirmed"
    """The inputs drifted and the forecasts were worse than expected."""
    DRIFT_ONLY = "drift_only"
    """The inputs drifted, and the forecasts coped."""
    ERROR_ONLY = "error_only"
    """The forecasts were worse than expected on inputs as ever: an outlier, or a matter for the weekly training."""
    QUIET = "quiet"
    NOT_CHECKED = "not_checked"
    """No drift check for that date."""
    NO_REFERENCE = "no_reference"
    """Too little history or too few rows to judge any input: neither quiet nor a drift."""
    NO_FORECASTS = "no_forecasts"
    """The inputs drifted, and there were no forecasts to confirm it: before the first release, or a day was missed."""
    NOTHING_SOLD = "nothing_sold"
    """The inputs drifted, and nothing countable was sold, as when all stores are closed."""


JUDGED = frozenset({WindowState.CONFIRMED, WindowState.DRIFT_ONLY, WindowState.ERROR_ONLY, WindowState.QUIET})


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What monitoring found out about one business date.

    Attributes:
        business_date: The date.
        features_judged: Inputs that could be tested, 0 if there was no check or no reference.
        is_checked: Whether there was a drift check at all.
        drifted: Names of the inputs that drifted.
        score_state: State of the score of the forecasts made the day before.
        wape, bias: Of those forecasts; `None` unless scored. A bias above 0 is too much.
        expected_wape, expected_bias: Of the release's folds on the same day ahead; `None` if unknown.
        release_id: Release that made the forecasts.
        release_cutoff: Last day that this release was trained on; `None` if unknown.
    """

    business_date: date
    features_judged: int
    is_checked: bool = True
    drifted: tuple[str, ...] = ()
    score_state: str = SCORED
    wape: float | None = None
    bias: float | None = None
    expected_wape: float | None = None
    expected_bias: float | None = None
    release_id: str | None = None
    release_cutoff: date | None = None


@dataclass(frozen=True, kw_only=True)
class ErrorRules:
    """When forecasts are worse than they should be.

    Attributes:
        minimum_bias: Least departure of the bias from its reference that matters, as a share of the units sold.
        minimum_wape_gain: Least growth of the WAPE over its reference that matters, as a share of it.
        deviations: Departure in standard deviations from day to day that is no chance.
        usual_bias_spread: Standard deviation of the bias from day to day while too few scores are there to tell.
        usual_wape_spread: The same of the WAPE, as a share of it.
        fewest_scores: Scores from which the spread is taken from the scores themselves.
        most_scores: Newest scores that count.
        recent_windows: Newest windows that do not, so that a shift cannot hide in its own reference.
        must_err: Whether a drift of the inputs needs worse forecasts to be confirmed; only a negative control says no.
    """

    minimum_bias: float = 0.15
    minimum_wape_gain: float = 0.3
    deviations: float = 2.0
    usual_bias_spread: float = 0.06
    usual_wape_spread: float = 0.12
    fewest_scores: int = 14
    most_scores: int = 56
    recent_windows: int = 3
    must_err: bool = True


@dataclass(frozen=True, kw_only=True)
class ErrorReference:
    """What error was to be expected.

    Attributes:
        bias: Centre; 0 if neither release nor scores say anything.
        bias_limit: Largest departure from it that is still expected.
        wape: Centre; `None` if nothing is known.
        wape_limit: Largest WAPE that is still expected; `None` if nothing is known.
        scores: Past scores that it rests on.
    """

    bias: float
    bias_limit: float
    wape: float | None
    wape_limit: float | None
    scores: int


@dataclass(frozen=True, kw_only=True)
class Window:
    """A judged business date.

    Attributes:
        observation: What was judged.
        state: How.
        reference: Against what error; `None` if there was no score.
    """

    observation: Observation
    state: WindowState
    reference: ErrorReference | None

    @property
    def business_date(self) -> date:
        """The date."""
        return self.observation.business_date

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        cutoff = self.observation.release_cutoff
        days = {
            "business_date": self.business_date.isoformat(),
            "release_cutoff": cutoff.isoformat() if cutoff else None,
        }
        seen = asdict(self.observation) | days
        return {"state": self.state.value, **seen, "reference": asdict(self.reference) if self.reference else None}


def judge(observations: Sequence[Observation], rules: ErrorRules | None = None) -> list[Window]:
    """Judges each business date by what was known before it.

    Args:
        observations: In order of business date, at most one a date.
        rules: Limits.
    """
    rules = rules or ErrorRules()
    return [_judged(found, observations[:position], rules) for position, found in enumerate(observations)]


def error_reference(found: Observation, past: Sequence[Observation], rules: ErrorRules) -> ErrorReference:
    """The centre is what the release promised, or what was usual; the spread is what was usual from day to day."""
    settled = past[: -rules.recent_windows] if rules.recent_windows else past
    scored = [other for other in settled if other.score_state == SCORED][-rules.most_scores :]
    biases = np.array([other.bias for other in scored], dtype=float)
    wapes = np.array([other.wape for other in scored], dtype=float)
    has_scores = len(scored) >= rules.fewest_scores
    bias = found.expected_bias if found.expected_bias is not None else (float(np.median(biases)) if has_scores else 0.0)
    wape = found.expected_wape if found.expected_wape is not None else (float(np.median(wapes)) if has_scores else None)
    bias_spread = _spread(biases) if has_scores else rules.usual_bias_spread
    bias_limit = max(rules.minimum_bias, rules.deviations * bias_spread)
    if wape is None:
        return ErrorReference(bias=bias, bias_limit=bias_limit, wape=None, wape_limit=None, scores=len(scored))
    wape_spread = _spread(wapes) if has_scores else rules.usual_wape_spread * wape
    wape_limit = wape + max(rules.minimum_wape_gain * wape, rules.deviations * wape_spread)
    return ErrorReference(bias=bias, bias_limit=bias_limit, wape=wape, wape_limit=wape_limit, scores=len(scored))


def _judged(found: Observation, past: Sequence[Observation], rules: ErrorRules) -> Window:
    is_scored = found.score_state == SCORED
    reference = error_reference(found, past, rules) if is_scored else None
    is_worse = reference is not None and _is_worse(found, reference)
    return Window(observation=found, state=_state(found, is_worse=is_worse, rules=rules), reference=reference)


def _state(found: Observation, *, is_worse: bool, rules: ErrorRules) -> WindowState:
    if not found.is_checked:
        return WindowState.NOT_CHECKED
    if not found.features_judged:
        return WindowState.NO_REFERENCE
    if not found.drifted:
        return WindowState.ERROR_ONLY if is_worse else WindowState.QUIET
    if found.score_state != SCORED and rules.must_err:
        is_without = found.score_state in {"no_forecasts", "not_scored"}
        return WindowState.NO_FORECASTS if is_without else WindowState.NOTHING_SOLD
    return WindowState.CONFIRMED if is_worse or not rules.must_err else WindowState.DRIFT_ONLY


def _is_worse(found: Observation, reference: ErrorReference) -> bool:
    is_off = found.bias is not None and abs(found.bias - reference.bias) > reference.bias_limit
    has_grown = reference.wape_limit is not None and found.wape is not None and found.wape > reference.wape_limit
    return is_off or has_grown


def _spread(values: np.ndarray) -> float:
    """Robust: a shift of a few days does not widen it."""
    return TO_NORMAL_SPREAD * float(np.median(np.abs(values - np.median(values))))
