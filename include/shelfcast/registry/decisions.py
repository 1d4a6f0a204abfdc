"""Decisions in the cold store: written once a decision id, however often the deciding task runs."""

import json
from collections.abc import Mapping
from datetime import date

from shelfcast.cold_store.cold_store import ColdStore


def record(
    store: ColdStore,
    *,
    decision_id: str,
    kind: str,
    model: str,
    business_date: date,
    outcome: str,
    reason: str,
    details: Mapping[str, object],
) -> None:
    """Writes a decision; one of the same id is replaced.

    Args:
        store: The cold store.
        decision_id: Stable for the same cause.
        kind: `gate` or `governor`.
        model: Name of the model.
        business_date: Date that it was decided for.
        outcome: What was decided.
        reason: Why, in a sentence.
        details: All numbers, for JSON.
    """
    store.run("registry/create_decisions")
    store.run("registry/delete_decision", {"decision_id": decision_id})
    store.run(
        "registry/insert_decision",
        {
            "decision_id": decision_id,
            "kind": kind,
            "model": model,
            "business_date": business_date,
            "outcome": outcome,
            "reason": reason,
            "details_json": json.dumps(details, default=str),
        },
    )
