"""The governor's side of the cold store: reads what monitoring left, keeps what was decided."""

from collections.abc import Callable, Hashable, Mapping
from datetime import date, timedelta
from typing import Any

import pandas as pd

from shelfcast.cold_store.cold_store import ColdStore
from shelfcast.deployment.bundle import cutoff_of
from shelfcast.errors import BundleError, PostConditionFailed
from shelfcast.registry.decisions import Entry, write
from shelfcast.retraining.governor import Decision, GovernorRules, Request, decide
from shelfcast.retraining.windows import ErrorRules, Observation, judge

MEMORY_DAYS = 90
"""Days of monitoring that a decision looks at."""


def decide_and_keep(
    store: ColdStore,
    *,
    model: str,
    business_date: date,
    is_retraining_in_flight: Callable[[], bool],
    rules: GovernorRules | None = None,
    error_rules: ErrorRules | None = None,
) -> Decision:
    """Decides for one business date and replaces its row in `OPERATIONS.DECISIONS`; a request once made stays.

    Args:
        store: The cold store.
        model: Name of the model.
        business_date: The date to decide for.
        is_retraining_in_flight: Tells whether a retraining of the model waits or runs at this moment.
        rules: Of the governor.
        error_rules: Of the windows.

    Raises:
        PostConditionFailed: The table does not hold the decision, or holds it twice.
    """
    for table in ("registry/create_decisions", "monitoring/create_drift_checks", "monitoring/create_scores"):
        store.run(table)
    requests = read_requests(store, model, business_date)
    decision = decide(
        judge(read_observations(store, business_date), error_rules),
        business_date=business_date,
        model=model,
        requests=requests,
        is_retraining_in_flight=is_retraining_in_flight(),
        rules=rules,
    )
    if all(request.business_date != business_date for request in requests):
        _keep(store, decision)
    return decision


def read_observations(store: ColdStore, business_date: date) -> list[Observation]:
    """What monitoring found out about the newest dates up to `business_date`, in order."""
    span = {"business_date": business_date, "oldest_date": business_date - timedelta(days=MEMORY_DAYS)}
    rows = store.fetch("retraining/read_observations", span)
    return [_observation(row) for row in rows.to_dict("records")]


def read_requests(store: ColdStore, model: str, business_date: date) -> list[Request]:
    """All retrainings the governor asked for, in order of business date."""
    rows = store.fetch("retraining/read_decisions", {"model": model, "business_date": business_date})
    return [
        Request(decision_id=row["decision_id"], business_date=_day(row["business_date"]), reason=row["reason"])
        for row in rows.to_dict("records")
        if row["outcome"] == "request"
    ]


def _keep(store: ColdStore, decision: Decision) -> None:
    keys = {"model": decision.model, "business_date": decision.business_date}
    entry = Entry(
        model=decision.model,
        business_date=decision.business_date,
        decision_id=decision.decision_id,
        kind="governor",
        outcome=decision.outcome.value,
        reason=decision.reason,
        details=decision.details,
    )
    with store.transaction():
        store.run("retraining/delete_decision", keys)
        write(store, entry)
    rows = store.fetch("retraining/read_decisions", keys)
    own = [kept for kept in rows.to_dict("records") if _day(kept["business_date"]) == decision.business_date]
    if [kept["decision_id"] for kept in own] != [decision.decision_id]:
        raise PostConditionFailed(
            f"OPERATIONS.DECISIONS holds {len(own)} decisions of the governor for {decision.model} on "
            f"{decision.business_date}, expected one. Two runs wrote at the same time; clear this task."
        )


def _observation(row: Mapping[Hashable, Any]) -> Observation:
    drifted = str(row["drifted"])
    release_id = None if pd.isna(row["release_id"]) else str(row["release_id"])
    return Observation(
        business_date=_day(row["business_date"]),
        is_checked=bool(row["is_checked"]),
        features_judged=int(row["features_judged"]),
        drifted=tuple(drifted.split(",")) if drifted else (),
        score_state=str(row["score_state"]),
        wape=_number(row["wape"]),
        bias=_number(row["bias"]),
        expected_wape=_number(row["expected_wape"]),
        expected_bias=_number(row["expected_bias"]),
        release_id=release_id,
        release_cutoff=_cutoff(release_id),
    )


def _cutoff(release_id: str | None) -> date | None:
    try:
        return cutoff_of(release_id) if release_id else None
    except BundleError:  # not one of ours, so what it knows is not known
        return None


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _day(value: Any) -> date:
    return pd.Timestamp(value).date()
