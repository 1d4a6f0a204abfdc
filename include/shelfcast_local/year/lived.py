"""What happened in a year that was lived through: trainings, what became of them, and which release served when."""

import json
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from shelfcast_local.year.scenarios import SCENARIOS, Scenario

YEAR_FILE = "year.json"


@dataclass(frozen=True, kw_only=True)
class Training:
    """A retraining and what came of it.

    Attributes:
        run_id: Of the Airflow run that it would be.
        cutoff: Last day that it learned from.
        outcome: Of the gate, `release` or `hold`.
        reason: The gate's.
        release_id: What it became; `None` if it was held.
        candidate: Folder of its files.
    """

    run_id: str
    cutoff: date
    outcome: str
    reason: str
    release_id: str | None
    candidate: Path


@dataclass(kw_only=True)
class Year:
    """What happened.

    Attributes:
        scenario: What was lived through.
        trainings: In the order of time, the first one included.
        requests: Of the governor, by business date.
        serving: Release that made the forecasts of each business date.
    """

    scenario: Scenario
    trainings: list[Training] = field(default_factory=list)
    requests: dict[date, str] = field(default_factory=dict)
    serving: dict[date, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Writes it for `read_year`."""
        told = {
            "scenario": self.scenario.name,
            "trainings": [vars(one) for one in self.trainings],
            "requests": {str(day): name for day, name in self.requests.items()},
            "serving": {str(day): name for day, name in self.serving.items()},
        }
        (folder / YEAR_FILE).write_text(json.dumps(told, indent=1, default=str))


def read_year(folder: Path) -> Year:
    """What happened in a year that was lived through."""
    told = json.loads((folder / YEAR_FILE).read_text())
    return Year(
        scenario=SCENARIOS[told["scenario"]],
        trainings=[
            Training(**{**one, "cutoff": date.fromisoformat(one["cutoff"]), "candidate": Path(one["candidate"])})
            for one in told["trainings"]
        ],
        requests={date.fromisoformat(day): name for day, name in told["requests"].items()},
        serving={date.fromisoformat(day): name for day, name in told["serving"].items()},
    )
