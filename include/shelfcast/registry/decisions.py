"""Decisions in the cold store: written once a decision id, however often the deciding task runs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from shelfcast.cold_store.cold_store import ColdStore


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row of `OPERATIONS.DECISIONS`.

    Attributes:
        decision_id: Stable for the same cause.
        kind: Who decided.
        model: Name of the model.
        business_date: Date that it was decided for.
        outcome: What was decided.
        reason: Why, in a sentence.
        details: All numbers, for JSON.
    """

    decision_id: str
    kind: Literal["gate", "governor"]
    model: str
    business_date: date
    outcome: str
    reason: str
    details: Mapping[str, object]


def record(store: ColdStore, entry: Entry) -> None:
    """Writes a decision; one of the same id is replaced."""
    store.run("registry/create_decisions")
    with store.transaction():
        write(store, entry)


def write(store: ColdStore, entry: Entry) -> None:
    """Writes a decision in place of one of the same id, within a transaction and into a table that is there."""
    store.run("registry/delete_decision", {"decision_id": entry.decision_id})
    row = {name: value for name, value in vars(entry).items() if name != "details"}
    store.run("registry/insert_decision", {**row, "details_json": json.dumps(entry.details, default=str)})
