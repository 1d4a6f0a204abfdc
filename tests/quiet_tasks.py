"""Does for each operator of the loop what the scheduler can see of it, and nothing else.

Imported at the end of a copy of a DAG file, so that the wiring is the repository's own. Files in the state folder say
what happens: while there is `hold/<dag_id>`, tasks of that DAG that take no pool wait; the governor asks for a
retraining on a date that has `request/<date>`.
"""

import os
import time
from pathlib import Path

from airflow.sdk import BaseOperator

HOME = Path(os.environ["SHELFCAST_HOME"])
ANSWERS = {
    "DrainChangeLogOperator": {"generation": 1, "after_drain": 0},
    "FreezeFrameOperator": {"folder": "frozen"},
    "GateOperator": {"version": "1", "mlflow_run_id": "r", "reason": "a test"},
    "BuildBundleOperator": {"release_id": "r"},
    "DriftCheckOperator": {"page": "page"},
}
STARTS_RUNS = "RetrainingTriggerOperator"


def execute(self, context):
    """Waits if it is told to, and returns what the tasks behind it read."""
    while self.pool == "default_pool" and (HOME / "hold" / self.dag_id).exists():
        time.sleep(0.1)
    name = type(self).__name__
    if name == "LoadBatchOperator":
        return {"business_dates": (context["dag_run"].conf or {}).get("dates", [])}
    if name == "GovernorOperator":
        asked = (HOME / "request" / self.business_date).exists()
        decision = {"outcome": "request" if asked else "hold", "reason": "a test", "model": "demand"}
        return {**decision, "decision_id": f"shift_{self.business_date}"}
    return ANSWERS.get(name)


def quieten(module):
    """Takes the work out of every operator that a DAG file has imported."""
    for operator in vars(module).values():
        if isinstance(operator, type) and issubclass(operator, BaseOperator) and operator.__name__ != STARTS_RUNS:
            operator.execute = execute
    if hasattr(module, "due_dates"):
        module.due_dates = lambda dates, _: dates
