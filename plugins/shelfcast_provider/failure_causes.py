"""One mail a run and cause: tasks that fail of the same cause agree by XCom on which of them mails it.

Each writes down its cause before it looks at the others', so of two that fail at the same moment at least one sees the
other. The one that wrote first mails. What is written when a run is cleared does not count for what comes after.
"""

import hashlib
import re
import time
from collections.abc import Mapping
from typing import Any

KEY = "failure_cause"
"""XCom key of a failed task's cause."""
NUMBERS = re.compile(r"\b[0-9a-f]{8,}\b|\d+")
"""What differs between two messages about the same cause: attempts, ports, milliseconds, request ids."""


def told_by(context: Mapping[str, Any]) -> str | None:
    """The task of the run that failed of the same cause before this one; `None` if this one has to tell of it.

    Args:
        context: Of the failed task, with its `exception`. A process that was killed leaves none, and no cause to compare.
    """
    error = context.get("exception")
    if not isinstance(error, BaseException):
        return None
    ti = context["ti"]
    own = [cause_of(error), context["dag_run"].clear_number, time.time(), ti.task_id]
    ti.xcom_push(key=KEY, value=own)
    others = sorted(set(context["dag"].task_ids) - {ti.task_id})
    found = [each for each in ti.xcom_pull(task_ids=others, key=KEY) if each is not None] if others else []
    before = [each[2:] for each in found if each[:2] == own[:2] and each[2:] < own[2:]]
    return str(min(before)[1]) if before else None


def cause_of(error: BaseException) -> str:
    """A digest of the error's type and text, numbers left out."""
    text = f"{type(error).__qualname__}: {NUMBERS.sub('#', str(error))}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
