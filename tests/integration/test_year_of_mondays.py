"""Some Mondays in a row, through the loop's own operators: what `make simulate-year` lives through for a year."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shelfcast.model import declaration as declarations
from shelfcast.model.candidate import Question
from shelfcast.registry import gate
from shelfcast.registry.candidate_cost import CandidateCost
from shelfcast.registry.gate import Evidence, Outcome
from shelfcast_local.year.loop import Loop
from shelfcast_local.year.report import Forecaster, beside_first_release, in_sample_gains, weeks_of
from shelfcast_local.year.scenarios import SCENARIOS
from shelfcast_local.year.shop import monday_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
WEEKS = 4
COST = CandidateCost(model_bytes=1_000_000, microseconds_per_row=20.0)


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """A loop and the four weeks that it has lived through."""
    scenario = replace(SCENARIOS["stationary"], weeks=WEEKS)
    loop = Loop(scenario, tmp_path_factory.mktemp("year"), seed=1, report=print)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SHELFCAST_ARTIFACTS", "JAVA_HOME", "PYSPARK_PYTHON", "SPARK_LOCAL_IP"):
            patch.setenv(name, "")  # what the loop sets ends with it
        return loop, loop.live()


def test_every_monday_a_fresher_model_is_released(lived):
    loop, year = lived
    assert [one.outcome for one in year.trainings] == ["release"] * WEEKS, [one.reason for one in year.trainings]
    assert year.requests == {}
    with loop.declared():
        assert [week.age_days for week in weeks_of(Forecaster(loop), year)] == [0] * WEEKS
    for number in range(WEEKS):
        monday = monday_of(number)
        assert year.serving[monday] == year.trainings[number].release_id
        assert year.serving[monday + timedelta(days=6)] == year.trainings[number].release_id


def test_with_the_champion_measured_on_days_that_it_has_learned_none_would_be(lived):
    _, year = lived
    assert all(gain < -0.02 for gain in in_sample_gains(year).values())
    rules = declarations.load("demand").gate
    for one in year.trainings[1:]:
        as_before = gate.decide(
            beside_first_release(year, one),
            rules,
            strongest_simple="x",
            cost=COST,
            evidence=Evidence(question=Question.RECIPE),
        )
        assert as_before.outcome is Outcome.HOLD
