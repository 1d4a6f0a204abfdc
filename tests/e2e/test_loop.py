"""The whole loop in real Airflow, by its scheduler: one demo, then what must hold after it.

The tests build on one another and run in the order of this file (`make test-e2e`). `SHELFCAST_E2E_HOME` names a state
folder to use and keep; otherwise a fresh one is made and removed.
"""

import json
import os
import shutil
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import httpx
import pytest

from shelfcast.errors import ShelfcastError

pytestmark = pytest.mark.e2e
LIMIT_SECONDS = 600
STARTED_BY_THE_LOOP = {"scheduled", "asset_triggered", "operator_triggered"}


@pytest.fixture(scope="session")
def home():
    kept = os.environ.get("SHELFCAST_E2E_HOME")
    folder = Path(kept) if kept else Path(tempfile.mkdtemp(prefix="shelfcast-e2e-"))
    yield folder
    if not kept:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stack(home):
    """The loop after `shelfcast demo`, with everything running."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW__")]:
        del os.environ[name]
    from shelfcast_local import demo
    from shelfcast_local.stack import Stack

    os.environ["SHELFCAST_HOME"] = str(home)
    demo.run(None, days=2, home=home)
    running = Stack(home)
    os.environ.update(running.environment())
    yield running
    running.down()
    assert not running.process_ids()


@pytest.fixture(scope="session")
def airflow(stack):
    return stack.airflow_client()


@pytest.fixture(scope="session")
def store(stack):
    from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

    with ColdStoreHook() as hook:
        yield hook


@pytest.fixture(scope="session")
def shop(stack):
    from shelfcast_local.shop import open_shop

    return open_shop(stack)


def wait(condition, *, what):
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(1)
    pytest.fail(f"{what} did not happen within {LIMIT_SECONDS} s")


def finished(airflow, dag_id, **fields):
    """Finished runs of a DAG whose fields have these values."""
    return [
        run
        for run in airflow.runs(dag_id)
        if run.is_finished and all(getattr(run, name) == value for name, value in fields.items())
    ]


def play_day(airflow, shop):
    """Plays the next business day and waits until the loop has watched it."""
    day = shop.next_day()
    shop.write_day(day)
    runs = wait(
        lambda: finished(airflow, "drift_monitoring", partition_key=day.isoformat()), what=f"the monitoring of {day}"
    )
    assert runs[-1].state == "success"
    return day


def fetch(store, text, *values):
    cursor = store.get_conn().cursor()
    try:
        return cursor.execute(text, values or None).fetchall()
    finally:
        cursor.close()


def test_the_demo_says_what_it_did(home, stack):
    report = json.loads((home / "demo.json").read_text())
    assert (home / "demo.json").stat().st_mode & 0o777 == 0o600
    assert all(rows["rows_in"] > 0 for name, rows in report["stages"].items() if name != "retraining")
    assert report["wape"] < report["strongest_simple_wape"]
    assert report["level"] == "item × store × day"
    answer = report["forecast_answer"]
    first = {name: answer[name]["forecasts"][0] for name in ("without_promotion", "with_promotion")}
    assert first["with_promotion"]["mean"] > first["without_promotion"]["mean"]


def test_every_run_was_started_by_an_asset_or_the_schedule(airflow):
    assert airflow.import_errors() == []
    runs = airflow.runs()
    assert {run.run_type for run in runs} <= STARTED_BY_THE_LOOP
    assert {run.state for run in runs if run.is_finished} == {"success"}


def test_forecasts_and_reasons_cover_every_active_series(store):
    owed = fetch(store, "SELECT business_date, COUNT(*) FROM FEATURES.DEMAND WHERE is_active GROUP BY 1")
    told = dict(fetch(store, "SELECT business_date, COUNT(DISTINCT series_id) FROM FORECASTS.LEDGER GROUP BY 1"))
    assert told
    assert all(told[day] == dict(owed)[day] for day in told)


def test_a_change_reaches_the_vector_and_the_forecast_and_leaves_the_frozen_frame(stack, airflow, store, shop):
    from shelfcast.training.frame import verify
    from shelfcast_local import postgres

    frames = [path.parent for path in (stack.home / "artifacts" / "training" / "demand").glob("*/frame.json")]
    digests = {folder: verify(folder).digest for folder in frames}
    day = shop.next_day() - timedelta(days=1)
    with postgres.connect(stack.configuration, "shop") as connection:
        order, line, item, sold_at, quantity = connection.execute(
            "SELECT l.order_id, l.line_number, l.item_id, o.store_id, l.quantity FROM sales.order_lines l "
            "JOIN sales.orders o USING (order_id) WHERE o.ordered_at::date = %s AND o.status = 'completed' LIMIT 1",
            [day],
        ).fetchone()
        gone, _gone_item = connection.execute(
            "SELECT o.order_id, min(l.item_id) FROM sales.orders o JOIN sales.order_lines l USING (order_id) "
            "WHERE o.ordered_at::date = %s AND o.status = 'completed' AND o.order_id <> %s GROUP BY 1 LIMIT 1",
            [day, order],
        ).fetchone()
        old, old_line = connection.execute(
            "SELECT l.order_id, l.line_number FROM sales.order_lines l JOIN sales.orders o USING (order_id) "
            "WHERE o.ordered_at::date = %s AND o.status = 'completed' LIMIT 1",
            [day - timedelta(days=20)],
        ).fetchone()
        change = "UPDATE sales.order_lines SET quantity = quantity + 500 WHERE order_id = %s AND line_number = %s"
        connection.execute(change, [order, line])
        connection.execute(change, [old, old_line])
        connection.execute("DELETE FROM sales.order_lines WHERE order_id = %s", [gone])
        connection.execute("DELETE FROM sales.orders WHERE order_id = %s", [gone])
    series = f"{item}@{sold_at}"
    before = fetch(
        store, "SELECT units_mean_7 FROM FEATURES.DEMAND WHERE series_id = %s AND business_date = %s", series, day
    )
    played = play_day(airflow, shop)

    current = fetch(store, "SELECT quantity FROM RAW.ORDER_LINES WHERE order_id = %s AND line_number = %s", order, line)
    assert current == [(quantity + 500,)]
    assert fetch(store, "SELECT COUNT(*) FROM RAW.ORDERS WHERE order_id = %s", gone) == [(0,)]
    versions = fetch(
        store,
        "SELECT COUNT(*) FROM FEATURES.DAILY_SALES WHERE series_id = %s AND sales_date = %s",
        series,
        day,
    )
    assert versions[0][0] >= 2
    kept = fetch(
        store, "SELECT units_mean_7 FROM FEATURES.DEMAND WHERE series_id = %s AND business_date = %s", series, day
    )
    assert kept == before
    after = fetch(
        store, "SELECT units_mean_7 FROM FEATURES.DEMAND WHERE series_id = %s AND business_date = %s", series, played
    )
    assert after[0][0] > before[0][0] + 40
    vintages = fetch(
        store,
        "SELECT business_date, SUM(mean) FROM FORECASTS.LEDGER WHERE series_id = %s AND business_date >= %s "
        "GROUP BY 1 ORDER BY 1",
        series,
        day,
    )
    assert vintages[-1][0] == played
    assert vintages[-1][1] > vintages[0][1]
    assert hot_units_mean_7(series) == pytest.approx(after[0][0], rel=1e-5)
    assert {folder: verify(folder).digest for folder in frames} == digests


def hot_units_mean_7(series):
    """The number as the forecaster reads it."""
    from shelfcast.hot_store.vector import unpack
    from shelfcast.training import declaration
    from shelfcast_provider.hot_store.hot_store_hook import HotStoreHook

    hook, fields = HotStoreHook(), declaration.load("demand").vector_fields
    vector = unpack(hook.read(hook.current("demand"), entity_kind="series_id")[series], fields=fields)
    return float(vector.numbers[fields.index("units_mean_7")])


def test_the_trigger_form_refuses_values_outside_it(airflow):
    for wrong in ({"folds": 0}, {"folds": "three"}, {"reason": "x"}, {"cutoff": "yesterday"}, {"force": "yes"}):
        with pytest.raises(ShelfcastError, match="400"):
            airflow.trigger("weekly_retraining_demand", wrong)


def test_a_retraining_by_hand_makes_a_candidate_and_a_decision_with_reasons(airflow, store):
    decided = {row[0] for row in fetch(store, "SELECT decision_id FROM OPERATIONS.DECISIONS WHERE kind = 'gate'")}
    deployed = len(finished(airflow, "model_deployment_demand"))
    run = airflow.trigger("weekly_retraining_demand", {"reason": "a test by hand", "folds": 2})
    wait(
        lambda: finished(airflow, "weekly_retraining_demand", run_id=run.run_id, state="success"), what="the retraining"
    )
    wait(lambda: len(finished(airflow, "model_deployment_demand", state="success")) > deployed, what="the decision")
    rows = fetch(store, "SELECT decision_id, outcome, reason FROM OPERATIONS.DECISIONS WHERE kind = 'gate'")
    made = [row for row in rows if row[0] not in decided and "__demand__" in row[0]]
    assert len(made) == 1
    assert made[0][1] in ("release", "hold")
    assert made[0][2]


def test_a_failing_task_sends_exactly_one_mail(stack, airflow):
    configuration = stack.configuration
    page = f"http://127.0.0.1:{configuration.ports['mail']}/mails"
    login = ("mail", configuration.passwords["mail"])
    before = len(httpx.get(page, auth=login, trust_env=False).json())
    run = airflow.trigger("feature_views", partition_key="no-date")
    wait(lambda: finished(airflow, "feature_views", run_id=run.run_id, state="failed"), what="the failure")
    mails = wait(lambda: httpx.get(page, auth=login, trust_env=False).json()[: -before or None], what="the mail")
    time.sleep(10)
    mails = httpx.get(page, auth=login, trust_env=False).json()
    assert len(mails) == before + 1
    text = mails[0]["subject"] + mails[0]["body"]
    for part in ("feature_views", "build", run.run_id, "http://127.0.0.1"):
        assert part in text


def test_a_killed_scheduler_loses_nothing(stack, airflow, store, shop):
    day = shop.next_day()
    shop.write_day(day)
    wait(
        lambda: any(
            task["state"] == "running"
            for run in airflow.runs("cdc_ingestion")[-1:]
            for task in airflow.task_instances(run)
        ),
        what="an ingestion under way",
    )
    kill_whole_session(stack.status()["airflow_scheduler"])
    stack.up()
    wait(
        lambda: finished(airflow, "drift_monitoring", partition_key=day.isoformat(), state="success"),
        what="the loop's end",
    )
    from shelfcast_local import postgres

    with postgres.connect(stack.configuration, "shop") as connection:
        for table in ("orders", "order_lines", "stock_levels", "business_days"):
            rows = connection.execute(f"SELECT count(*) FROM sales.{table}").fetchone()[0]
            assert fetch(store, f"SELECT COUNT(*) FROM RAW.{table}") == [(rows,)], table


def kill_whole_session(pid):
    """Kills a service with everything it started, as a crash of the machine would."""
    import signal

    import psutil

    parent = psutil.Process(pid)
    for process in [parent, *parent.children(recursive=True)]:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue


def test_a_shift_of_demand_starts_one_retraining(stack, airflow, store):
    from shelfcast_local.shop import open_shop

    shifted = open_shop(stack, faults=["distribution_shift=1.8"])
    for _ in range(4):
        play_day(airflow, shifted)
    asked = fetch(store, "SELECT COUNT(*) FROM OPERATIONS.DECISIONS WHERE kind = 'governor' AND outcome = 'request'")
    assert asked == [(1,)]
    started = [run for run in airflow.runs("weekly_retraining_demand") if run.run_id.startswith("retraining_request__")]
    assert len(started) == 1


def test_days_follow_one_another_without_gaps(store):
    days = [row[0] for row in fetch(store, "SELECT business_date FROM OPERATIONS.BUSINESS_DATES ORDER BY 1")]
    assert days == [date.fromordinal(days[0].toordinal() + number) for number in range(len(days))]
