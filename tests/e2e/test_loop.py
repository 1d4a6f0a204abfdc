"""The whole loop in real Airflow, by its scheduler: one demo, then what must hold after it.

The tests build on one another and run in the order of this file (`make test-e2e`).
"""

import hashlib
import json
import time
from datetime import date, timedelta
from decimal import Decimal

import httpx
import pytest

from shelfcast.errors import ShelfcastError
from shelfcast.sources.shop_schema import TABLES
from shelfcast_local import postgres

pytestmark = pytest.mark.e2e
STARTED_BY_THE_LOOP = {"scheduled", "asset_triggered", "operator_triggered"}


def test_the_demo_says_what_it_did(home, stack):
    report = json.loads((home / "demo.json").read_text())
    assert (home / "demo.json").stat().st_mode & 0o777 == 0o600
    assert " ".join(report["stages"]) == (
        "sources ingestion cold_store hot_store training registry deployment serving monitoring retraining"
    )
    assert report["stages"]["hot_store"]["rows_out"] == report["stages"]["hot_store"]["rows_in"]
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


def test_forecasts_and_reasons_cover_every_active_series(fetch):
    owed = fetch("SELECT business_date, COUNT(*) FROM FEATURES.DEMAND WHERE is_active GROUP BY 1")
    told = dict(fetch("SELECT business_date, COUNT(DISTINCT series_id) FROM FORECASTS.LEDGER GROUP BY 1"))
    assert told
    assert all(told[day] == dict(owed)[day] for day in told)


def test_a_change_reaches_the_vector_and_the_forecast_and_leaves_the_frozen_frame(stack, shop, fetch, play_day):
    from shelfcast.training.frame import verify

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
    before = fetch("SELECT units_mean_7 FROM FEATURES.DEMAND WHERE series_id = %s AND business_date = %s", series, day)
    played = play_day(shop)

    current = fetch("SELECT quantity FROM RAW.ORDER_LINES WHERE order_id = %s AND line_number = %s", order, line)
    assert current == [(quantity + 500,)]
    assert fetch("SELECT COUNT(*) FROM RAW.ORDERS WHERE order_id = %s", gone) == [(0,)]
    versions = fetch(
        "SELECT COUNT(*) FROM FEATURES.DAILY_SALES WHERE series_id = %s AND sales_date = %s",
        series,
        day,
    )
    assert versions[0][0] >= 2
    kept = fetch("SELECT units_mean_7 FROM FEATURES.DEMAND WHERE series_id = %s AND business_date = %s", series, day)
    assert kept == before
    after = fetch(
        "SELECT units_mean_7 FROM FEATURES.DEMAND WHERE series_id = %s AND business_date = %s", series, played
    )
    assert after[0][0] > before[0][0] + 40
    vintages = fetch(
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


def test_a_retraining_by_hand_makes_a_candidate_and_a_decision_with_reasons(airflow, fetch, wait, finished):
    decided = {row[0] for row in fetch("SELECT decision_id FROM OPERATIONS.DECISIONS WHERE kind = 'gate'")}
    deployed = len(finished("model_deployment_demand"))
    run = airflow.trigger("weekly_retraining_demand", {"reason": "a test by hand", "folds": 2})
    wait(lambda: finished("weekly_retraining_demand", run_id=run.run_id, state="success"), what="the retraining")
    wait(lambda: len(finished("model_deployment_demand", state="success")) > deployed, what="the decision")
    rows = fetch("SELECT decision_id, outcome, reason FROM OPERATIONS.DECISIONS WHERE kind = 'gate'")
    made = [row for row in rows if row[0] not in decided and "__demand__" in row[0]]
    assert len(made) == 1
    assert made[0][1] in ("release", "hold")
    assert made[0][2]


def test_a_failing_task_sends_exactly_one_mail(stack, airflow, wait, finished):
    configuration = stack.configuration
    page = f"http://127.0.0.1:{configuration.ports['mail']}/mails"
    login = ("mail", configuration.passwords["mail"])
    before = len(httpx.get(page, auth=login, trust_env=False).json())
    run = airflow.trigger("feature_views", partition_key="no-date")
    wait(lambda: finished("feature_views", run_id=run.run_id, state="failed"), what="the failure")
    mails = wait(lambda: httpx.get(page, auth=login, trust_env=False).json()[: -before or None], what="the mail")
    time.sleep(10)
    mails = httpx.get(page, auth=login, trust_env=False).json()
    assert len(mails) == before + 1
    text = mails[0]["subject"] + mails[0]["body"]
    for part in ("feature_views", "build", run.run_id, "http://127.0.0.1"):
        assert part in text


def test_a_killed_scheduler_leaves_what_an_undisturbed_run_leaves(stack, airflow, shop, fetch, wait, finished, replay):
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
        lambda: finished("drift_monitoring", partition_key=day.isoformat(), state="success"),
        what="the loop's end",
    )
    with postgres.connect(stack.configuration, "shop") as connection:
        for table in TABLES.values():
            rows = f"SELECT {', '.join(table.column_names)} FROM {{}}.{table.name}"
            in_shop = connection.execute(rows.format("sales")).fetchall()
            assert digest(fetch(rows.format("RAW"))) == digest(in_shop), table.name
    undisturbed = replay(day)
    for name, rows in of_one_day(day).items():
        assert digest(fetch(rows)) == digest(undisturbed.execute(rows).fetchall()), name


def of_one_day(day):
    """What a business day leaves in the cold store, by table; the names of batches, which may differ, left out."""
    features = {
        name: f"SELECT * FROM FEATURES.{name} WHERE business_date = '{day}'"
        for name in ("DEMAND", "DEMAND_AHEAD", "ORDER_TOTAL")
    }
    history = {
        table.name: f"SELECT {', '.join(table.column_names)}, op, position, position_ordinal, generation, known_at "
        f"FROM RAW.{table.name}_CHANGES WHERE position > 0"
        for table in TABLES.values()
    }
    return {**features, **history, "DAILY_SALES": f"SELECT * FROM FEATURES.DAILY_SALES WHERE sales_date = '{day}'"}


def digest(rows):
    """Of rows in any order; numbers count with nine digits, since sums may be made in another order."""
    return hashlib.sha256("\n".join(sorted(map(repr, map(plain, rows)))).encode()).hexdigest()


def plain(row):
    return tuple(f"{float(value):.9g}" if isinstance(value, int | float | Decimal) else str(value) for value in row)


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


def test_a_shift_of_demand_starts_one_retraining(stack, airflow, fetch, play_day):
    from shelfcast_local.shop import open_shop

    shifted = open_shop(stack, faults=["distribution_shift=1.8"])
    for _ in range(4):
        play_day(shifted)
    asked = fetch("SELECT COUNT(*) FROM OPERATIONS.DECISIONS WHERE kind = 'governor' AND outcome = 'request'")
    assert asked == [(1,)]
    started = [run for run in airflow.runs("weekly_retraining_demand") if run.run_id.startswith("retraining_request__")]
    assert len(started) == 1


def test_days_follow_one_another_without_gaps(fetch):
    days = [row[0] for row in fetch("SELECT business_date FROM OPERATIONS.BUSINESS_DATES ORDER BY 1")]
    assert days == [date.fromordinal(days[0].toordinal() + number) for number in range(len(days))]
