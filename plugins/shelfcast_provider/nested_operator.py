"""An operator's work as part of another one's task."""

import inspect
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from airflow.sdk import Context


class Executable(Protocol):
    """An operator, or what does the same work without being one."""

    def execute(self, context: "Context") -> Any:
        """Does the work."""


def execute_nested(work: Executable, context: "Context") -> Any:
    """Does the work; without Airflow's guard, which warns in the task's log of each operator that runs in another."""
    return inspect.unwrap(type(work).execute)(work, context)
