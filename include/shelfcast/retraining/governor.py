"""Decides, once a business date, whether a model is to be trained again before its turn.

It asks when three windows in a row confirm a shift (see `windows`). In a row means: no window between them was judged
otherwise; windows that cannot be judged, such as days on which all stores are closed, are passed over, for at most
four days from one confirmed window to the next.

A cause is asked for once: the decision's id names the day since which it is seen, so a rerun gives the same id, and
after a request the governor holds until the retraining has ended and a cool-down is over. If no release came of it by
then (the gate held it, or it failed), the same cause is asked for again, once a cool-down. If one did, and it serves,
it has learned from the shifted days: what goes on is the same cause and is not asked for again. A cause is over when as
many judged windows in a row are not confirmed as it took to confirm it; whatever is confirmed after that is another one.

Three in a row, not three of the last five: an autocorrelated error (a week of bad weather, Christmas) raises false
alarms of the latter far more than it costs the former in speed.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from enum import StrEnum

from shelfcast.retraining.windows import JUDGED, Window, WindowState

WINDOWS_KEPT = 14
"""Newest windows that a decision's details show."""


class Outcome(StrEnum):
    """What the governor decided."""

    REQUEST = "request"
    HOLD = "hold"


class Cause(StrEnum):
    """Why; the reason says it in a sentence with the numbers."""

    THIRD_CONFIRMED_WINDOW = "third_confirmed_window"
    NO_SHIFT = "no_shift"
    NOT_YET_CONFIRMED = "not_yet_confirmed"
    CANNOT_JUDGE = "cannot_judge"
    NO_REFERENCE = "no_reference"
    ANSWERED = "answered"
    COOLING_DOWN = "cooling_down"
    RETRAINING_IN_FLIGHT = "retraining_in_flight"


@dataclass(frozen=True, kw_only=True)
class GovernorRules:
    """When the governor asks.

    Attributes:
        confirmed_windows: Confirmed windows in a row, 1 or more.
        longest_gap_days: Most days from one of them to the next, 1 or more.
        cool_down_days: Days after a request's business date on which no other is made.
    """

    confirmed_windows: int = 3
    longest_gap_days: int = 4
    cool_down_days: int = 14


@dataclass(frozen=True, kw_only=True)
class Request:
    """A retraining that was asked for.

    Attributes:
        decision_id: Of the decision.
        business_date: On which it was made.
        reason: As it was given.
    """

    decision_id: str
    business_date: date
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What was decided for one business date, and by what.

    Attributes:
        decision_id: Same cause, same id.
        model: Name of the model.
        business_date: The date.
        outcome: Ask for a retraining, or hold.
        cause: Why, by name.
        reason: Why, in a sentence with numbers.
        details: All that it rests on, for JSON.
    """

    decision_id: str
    model: str
    business_date: date
    outcome: Outcome
    cause: Cause
    reason: str
    details: dict[str, object] = field(default_factory=dict)


def decide(
    windows: Sequence[Window],
    *,
    business_date: date,
    model: str,
    requests: Sequence[Request] = (),
    is_retraining_in_flight: bool = False,
    rules: GovernorRules | None = None,
) -> Decision:
    """Decides for one business date; the same arguments give the same decision.

    Args:
        windows: Judged business dates in order; later ones than `business_date` are not looked at.
        business_date: The date to decide for.
        model: Name of the model.
        requests: All requests made for this model. One made on this very date is kept as it is: it cannot be unsaid.
        is_retraining_in_flight: Whether a retraining of the model waits or runs at this moment.
        rules: Patience and cool-down.
    """
    rules = rules or GovernorRules()
    known = [window for window in windows if window.business_date <= business_date]
    asked_on = _last_request_before(business_date, requests)
    row = _confirmed_row(known, after=asked_on, rules=rules)
    kept = next((request for request in requests if request.business_date == business_date), None)
    if kept:
        cause = Cause.THIRD_CONFIRMED_WINDOW
    else:
        cause = _cause(known, row, business_date, rules)
        if cause is Cause.THIRD_CONFIRMED_WINDOW and _is_answered(known, asked_on, rules):
            cause = Cause.ANSWERED
        if cause is Cause.THIRD_CONFIRMED_WINDOW:
            cause = _unless_held(cause, business_date, requests, is_retraining_in_flight, rules)
    is_request = cause is Cause.THIRD_CONFIRMED_WINDOW
    since = f"shift_since_{row[0].business_date}" if is_request and row else f"hold_{business_date}"
    return Decision(
        decision_id=kept.decision_id if kept else f"{model}_{since}",
        model=model,
        business_date=business_date,
        outcome=Outcome.REQUEST if is_request else Outcome.HOLD,
        cause=cause,
        reason=kept.reason if kept else _reason(cause, known, row, requests, rules),
        details={
            "cause": cause.value,
            "confirmed_in_a_row": len(row),
            "rules": asdict(rules),
            "requests": [request.decision_id for request in requests],
            "windows": [window.as_dict() for window in known[-WINDOWS_KEPT:]],
        },
    )


def _last_request_before(business_date: date, requests: Sequence[Request]) -> date:
    return max((one.business_date for one in requests if one.business_date < business_date), default=date.min)


def _confirmed_row(windows: Sequence[Window], *, after: date, rules: GovernorRules) -> list[Window]:
    """The confirmed windows that end the judged ones, oldest first, without a gap that is too long."""
    row: list[Window] = []
    for window in reversed([one for one in windows if one.state in JUDGED and one.business_date > after]):
        gap_days = (row[-1].business_date - window.business_date).days if row else 0
        if window.state is not WindowState.CONFIRMED or gap_days > rules.longest_gap_days:
            break
        row.append(window)
    return row[::-1]


def _is_answered(windows: Sequence[Window], asked_on: date, rules: GovernorRules) -> bool:
    """Whether what serves was trained on the shift that was last asked for, and that one is not over."""
    since = [one for one in windows if one.business_date > asked_on]
    cutoffs = [one.observation.release_cutoff for one in since if one.observation.release_id]
    has_learned = bool(cutoffs) and cutoffs[-1] is not None and cutoffs[-1] >= asked_on > date.min
    return has_learned and not _is_over(since, rules)


def _is_over(windows: Sequence[Window], rules: GovernorRules) -> bool:
    in_a_row = 0
    for window in windows:
        if window.state in JUDGED:
            in_a_row = 0 if window.state is WindowState.CONFIRMED else in_a_row + 1
        if in_a_row >= rules.confirmed_windows:
            return True
    return False


def _cause(known: Sequence[Window], row: Sequence[Window], business_date: date, rules: GovernorRules) -> Cause:
    state = known[-1].state if known and known[-1].business_date == business_date else None
    if state is WindowState.NO_REFERENCE:
        return Cause.NO_REFERENCE
    if state not in JUDGED:
        return Cause.CANNOT_JUDGE
    if state is not WindowState.CONFIRMED:
        return Cause.NO_SHIFT
    return Cause.THIRD_CONFIRMED_WINDOW if len(row) >= rules.confirmed_windows else Cause.NOT_YET_CONFIRMED


def _unless_held(
    cause: Cause,
    business_date: date,
    requests: Sequence[Request],
    is_retraining_in_flight: bool,
    rules: GovernorRules,
) -> Cause:
    """A request near by holds this one, later ones too: an old date run again asks for nothing twice."""
    distances = [abs((business_date - request.business_date).days) for request in requests]
    if any(distance <= rules.cool_down_days for distance in distances):
        return Cause.COOLING_DOWN
    return Cause.RETRAINING_IN_FLIGHT if is_retraining_in_flight else cause


def _reason(
    cause: Cause, known: Sequence[Window], row: Sequence[Window], requests: Sequence[Request], rules: GovernorRules
) -> str:
    needed = rules.confirmed_windows
    newest = describe(known[-1]) if known else "No business date was checked yet."
    asked = [one.decision_id for one in requests if known and one.business_date < known[-1].business_date] or [""]
    said = {
        Cause.THIRD_CONFIRMED_WINDOW: f"{len(row)} confirmed windows in a row, {needed} are needed.",
        Cause.NO_SHIFT: "No shift is confirmed.",
        Cause.NOT_YET_CONFIRMED: f"Confirmed windows in a row: {len(row)} of {needed}.",
        Cause.CANNOT_JUDGE: "This business date cannot be judged, so it neither confirms nor ends a shift.",
        Cause.NO_REFERENCE: "No input has a reference of enough weeks to tell a drift from a good or bad day by.",
        Cause.ANSWERED: f"The shift that {asked[-1]} asked for goes on; what serves was trained on its days.",
        Cause.COOLING_DOWN: (
            f"The shift is confirmed; {requests[-1].decision_id if requests else ''} asked for a retraining less than "
            f"{rules.cool_down_days} days from here."
        ),
        Cause.RETRAINING_IN_FLIGHT: "The shift is confirmed; a retraining of this model waits or runs already.",
    }
    return f"{said[cause]} {newest}"


def describe(window: Window) -> str:
    """One sentence about a window, with its numbers."""
    found, reference = window.observation, window.reference
    inputs = (
        f"drifted: {', '.join(found.drifted)}"
        if found.drifted
        else f"{found.features_judged} inputs judged, none drifted"
    )
    if reference is None or found.bias is None or found.wape is None:
        return f"{window.business_date}: {window.state.value} ({inputs}; forecasts: {found.score_state})."
    expected = "unknown" if reference.wape_limit is None else f"at most {reference.wape_limit:.1%}"
    return (
        f"{window.business_date}: {window.state.value} ({inputs}; bias {found.bias:+.1%}, "
        f"expected {reference.bias:+.1%} ± {reference.bias_limit:.1%}; WAPE {found.wape:.1%}, expected {expected})."
    )
