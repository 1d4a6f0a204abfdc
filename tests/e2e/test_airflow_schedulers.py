"""What Airflow's schedulers make of the loop's wiring, two of them, with tasks that do nothing (docs/decisions/0012).

The DAG files are parsed once, before the first test, so that nothing is made good by parsing them again.
"""

import os

import pytest
from quiet_loop import DAILY, QuietLoop

pytestmark = pytest.mark.e2e
RETRAINING = "weekly_retraining_demand"


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    """Ended before the whole loop is started for the tests that follow."""
    made = QuietLoop(tmp_path_factory.mktemp("quiet") / "home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AIRFLOW__")]:
            patch.delenv(name)
        try:
            made.start()
            yield made
        finally:
            made.end()


def started(loop, dag_id):
    """Partition keys of a DAG's runs in the order in which they started."""
    asked = (
        "SELECT partition_key FROM dag_run WHERE dag_id = %(dag_id)s AND partition_key IS NOT NULL ORDER BY start_date"
    )
    return [key for (key,) in loop.sql(asked, dag_id=dag_id)]


def test_dates_announced_at_once_and_while_a_run_is_active_get_a_run_each_in_order(loop):
    dates = [f"2026-03-{number:02}" for number in range(1, 6)]
    loop.hold("feature_cache_refresh")
    loop.announce(*dates[:4])
    loop.wait(lambda: loop.runs("feature_cache_refresh", state="running"), what="the first date's refresh")
    loop.announce(dates[4])
    loop.wait(lambda: len(loop.runs("feature_cache_refresh")) == len(dates), what="a refresh of each date")
    assert [run.state for run in loop.runs("feature_cache_refresh")].count("running") == 1
    loop.release("feature_cache_refresh")
    loop.wait(lambda: len(loop.runs("drift_monitoring", state="success")) == len(dates), what="the watch")
    assert {dag_id: started(loop, dag_id) for dag_id in DAILY[1:]} == dict.fromkeys(DAILY[1:], dates)


def test_monday_comes_though_the_last_run_was_one_that_the_governor_had_started(loop):
    """A run by hand holds the only place, the governor's waits behind it: so the DAG is marked full when that begins."""
    loop.client.unpause(RETRAINING)
    loop.wait(lambda: loop.runs(RETRAINING, state="success"), what="the run of the Monday before")
    loop.hold(RETRAINING)
    loop.client.trigger(RETRAINING)
    loop.wait(lambda: loop.runs(RETRAINING, run_type="manual", state="running"), what="a run by hand")
    loop.request_on("2026-03-08")
    loop.announce("2026-03-08")
    loop.wait(lambda: loop.runs(RETRAINING, run_type="operator_triggered", state="queued"), what="the governor's run")
    loop.release(RETRAINING)
    loop.wait(lambda: all(run.is_finished for run in loop.runs(RETRAINING)), what="the end of both")
    assert [run.run_type for run in loop.runs(RETRAINING)] == ["scheduled", "manual", "operator_triggered"]
    loop.let_monday_come(RETRAINING)
    loop.wait(lambda: len(loop.runs(RETRAINING, run_type="scheduled")) > 1, what="Monday's run", seconds=60)


def test_one_date_of_two_assets_is_one_run_also_if_one_is_reported_from_outside(loop):
    loop.hold("feature_cache_refresh")  # so that the loop's own forecast is still to come
    loop.emit("demand_forecasts", "2026-04-01")
    loop.announce("2026-04-01")
    loop.wait(lambda: loop.runs("drift_monitoring", partition_key="2026-04-01", state="success"), what="the watch")
    assert len(loop.runs("drift_monitoring", partition_key="2026-04-01")) == 1
