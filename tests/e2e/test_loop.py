"""The whole loop in real Airflow, by its scheduler: one demo, then what must hold after it.

The tests build on one another and run in the order of this file (`make test-e2e`).
"""

import hashlib
import json
import signal
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pandas as pd
import psutil
import pytest

from shelfcast import storage
from shelfcast.deployment.bundle import cutoff_of
from shelfcast.errors import ShelfcastError
from shelfcast.ingestion.change_files import UNFINISHED, ChangeFolder
from shelfcast.sources.shop_schema import TABLES
from shelfcast_local.services import postgres

pytestmark = pytest.mark.e2e
WHAT_TO_DO = (
    "trigger it by hand with a business date",
    "a missing business date is loaded by clearing <code>cdc_ingestion</code>, then this run.",
)
"""The end of the error's own text, and of the runbook's section for a failure."""
LINE_OF_A_DAY = """
    SELECT l.order_id, l.line_number, l.item_id || '@' || o.store_id, o.store_id, l.quantity
    FROM sales.order_lines l JOIN sales.orders o USING (order_id)
    WHERE o.ordered_at::date = %(day)s AND o.status = 'completed' AND o.store_id <> %(other_than)s
    ORDER BY 1, 2 LIMIT 1
"""
REQUESTS = "SELECT decision_id FROM OPERATIONS.DECISIONS WHERE kind = 'governor' AND outcome = 'request'"
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


def test_a_change_reaches_the_vector_and_the_forecast_and_leaves_the_frozen_frame(
    stack, store, shop, fetch, play_day, tmp_path
):
    day = shop.next_day() - timedelta(days=1)
    long_ago = day - timedelta(days=20)
    with postgres.connect(stack.configuration, "shop") as connection:
        of_day, long_past = {"day": day, "other_than": ""}, {"day": long_ago, "other_than": ""}
        order, line, series, sold_at, quantity = connection.execute(LINE_OF_A_DAY, of_day).fetchone()
        elsewhere = {"day": day, "other_than": sold_at}
        gone, _, gone_series, *_ = connection.execute(LINE_OF_A_DAY, elsewhere).fetchone()
        old, old_line, old_series, *_ = connection.execute(LINE_OF_A_DAY, long_past).fetchone()
        change = "UPDATE sales.order_lines SET quantity = quantity + 500 WHERE order_id = %s AND line_number = %s"
        connection.execute(change, [order, line])
        connection.execute(change, [old, old_line])
        connection.execute("DELETE FROM sales.order_lines WHERE order_id = %s", [gone])
        connection.execute("DELETE FROM sales.orders WHERE order_id = %s", [gone])

    def versions(series_id, sales_date):
        text = "SELECT units_sold FROM FEATURES.DAILY_SALES WHERE series_id = %s AND sales_date = %s ORDER BY known_at"
        return [units for (units,) in fetch(text, series_id, sales_date)]

    def means(series_id, business_date):
        text = "SELECT units_mean_7, units_mean_28 FROM FEATURES.DEMAND WHERE series_id = %s AND business_date = %s"
        return fetch(text, series_id, business_date)[0]

    sold = {(name, on): versions(name, on) for name, on in ((series, day), (gone_series, day), (old_series, long_ago))}
    before, old_before = means(series, day), means(old_series, day)
    played = play_day(shop)

    current = fetch("SELECT quantity FROM RAW.ORDER_LINES WHERE order_id = %s AND line_number = %s", order, line)
    assert current == [(quantity + 500,)]
    assert fetch("SELECT COUNT(*) FROM RAW.ORDERS WHERE order_id = %s", gone) == [(0,)]
    for (name, on), earlier in sold.items():
        *kept, newest = versions(name, on)
        assert kept == earlier
        assert newest < earlier[-1] if name == gone_series else newest == earlier[-1] + 500
    assert (means(series, day), means(old_series, day)) == (before, old_before)
    after = means(series, played)
    assert after[0] > before[0] + 40
    assert means(old_series, played)[1] > old_before[1] + 15
    vintages = fetch(
        "SELECT business_date, SUM(mean) FROM FORECASTS.LEDGER WHERE series_id = %s AND business_date >= %s "
        "GROUP BY 1 ORDER BY 1",
        series,
        day,
    )
    assert vintages[-1][0] == played
    assert vintages[-1][1] > vintages[0][1]
    assert hot_units_mean_7(series) == pytest.approx(after[0], rel=1e-5)
    assert_frames_are_read_again(stack, store, tmp_path, (old_series, long_ago, sold[old_series, long_ago][-1]))


def assert_frames_are_read_again(stack, store, folder, restated):
    """What was known at a frozen frame's cutoff is still read to the byte, though a day in it is known otherwise now."""
    from shelfcast.model import declaration
    from shelfcast.training.frame import FRAME, freeze
    from shelfcast.training.frame_rows import unload_frame

    series_id, sales_date, units_sold = restated
    frozen = [frozen_at(path.parent) for path in (stack.artifacts / "training" / "demand").glob("*/frame.json")]
    assert frozen
    for number, manifest in enumerate(frozen):
        about, cutoff = asdict(manifest), date.fromisoformat(manifest.cutoff)
        unloaded, frozen_again = folder / f"unloaded-{number}", folder / f"again-{number}"
        unloaded.mkdir()
        found = unload_frame(store, declaration.load("demand"), cutoff, unloaded, horizon_days=manifest.horizon_days)
        settings = {name: about[name] for name in ("folds", "horizon_days", "reason", "is_forced", "trials")}
        again = freeze(unloaded, frozen_again, model="demand", cutoff=cutoff, of_rows=found.of_rows, **settings)
        assert again == manifest
        frame = pd.read_parquet(frozen_again / FRAME)
        on_the_day = frame[
            (frame["series_id"] == series_id) & (pd.to_datetime(frame["sales_date"]).dt.date == sales_date)
        ]
        assert set(on_the_day["units_sold"]) == {units_sold}


def frozen_at(folder):
    from shelfcast.training.frame import FRAME_FILES, verify

    with storage.local_copy(folder, FRAME_FILES) as copy:
        return verify(copy)


def hot_units_mean_7(series):
    """The number as the forecaster reads it."""
    from shelfcast.hot_store.vector import unpack
    from shelfcast.model import declaration
    from shelfcast_provider.hot_store.hot_store_hook import HotStoreHook

    hook, fields = HotStoreHook(), declaration.load("demand").vector_fields
    vector = unpack(hook.read(hook.current("demand"), entity_kind="series_id")[series], fields=fields)
    return float(vector.numbers[fields.index("units_mean_7")])


def test_the_trigger_form_refuses_values_outside_it(airflow):
    for wrong in (
        *({"folds": 0}, {"folds": "three"}, {"reason": "x"}, {"cutoff": "yesterday"}, {"force": "yes"}),
        *({"horizon_days": 0}, {"horizon_days": 29}),
    ):
        with pytest.raises(ShelfcastError, match="400"):
            airflow.trigger("weekly_retraining_demand", wrong)
    with pytest.raises(ShelfcastError, match="400"):
        airflow.trigger("cdc_ingestion", {"take_snapshot": "maybe"})


def test_days_written_at_once_give_a_vintage_each_and_no_failed_run(
    stack, airflow, shop, fetch, play_days, wait, finished
):
    """As after a week end without power: all days up to the one on which the release is a week old."""
    week_later = cutoff_of(assert_release_serves(stack, fetch)["release_id"]) + timedelta(days=7)
    failed = len(finished("~", state="failed"))
    days = play_days(shop, (week_later - shop.next_day()).days + 1)
    assert len(days) > 2
    wait(lambda: all(run.is_finished for run in airflow.runs()), what="the end of all runs")
    assert len(finished("~", state="failed")) == failed
    counts = {
        name: dict(fetch(f"SELECT business_date, {rows} GROUP BY 1"))
        for name, rows in {
            "owed": "COUNT(*) FROM FEATURES.DEMAND WHERE is_active",
            "told": "COUNT(DISTINCT series_id) FROM FORECASTS.LEDGER",
        }.items()
    }
    assert [counts["told"].get(day) for day in days] == [counts["owed"][day] for day in days]


def test_a_week_later_a_retraining_is_released(stack, airflow, fetch, wait, finished):
    """What the form of a Monday does with nothing changed in it: a fresher model of the same recipe."""
    before = assert_release_serves(stack, fetch)
    decided = {row[0] for row in fetch("SELECT decision_id FROM OPERATIONS.DECISIONS WHERE kind = 'gate'")}
    deployed = len(finished("model_deployment_demand"))
    run = airflow.trigger("weekly_retraining_demand", {"reason": "a Monday by hand"})
    wait(lambda: finished("weekly_retraining_demand", run_id=run.run_id, state="success"), what="the retraining")
    wait(lambda: len(finished("model_deployment_demand", state="success")) > deployed, what="the decision")
    rows = fetch("SELECT decision_id, outcome, reason FROM OPERATIONS.DECISIONS WHERE kind = 'gate'")
    [(decision_id, outcome, reason)] = [row for row in rows if row[0] not in decided and "__demand__" in row[0]]
    assert outcome == "release", reason
    assert "asked whether the refresh is sound" in reason
    after = assert_release_serves(stack, fetch)
    assert decision_id == f"gate__demand__v{after['version']}"
    assert cutoff_of(after["release_id"]) >= cutoff_of(before["release_id"]) + timedelta(days=7)


def assert_release_serves(stack, fetch):
    """Pointer, forecaster, champion and `OPERATIONS.RELEASES` name one release of demand; it is answered."""
    from shelfcast.deployment import pointer
    from shelfcast_provider.registry.mlflow_hook import CHAMPION, MLflowHook

    current = pointer.read(stack.artifacts / "releases" / "demand").current
    configuration = stack.configuration
    ready = httpx.get(
        f"http://127.0.0.1:{configuration.ports['forecaster']}/readyz",
        headers={"Authorization": f"Bearer {configuration.passwords['forecaster']}"},
        trust_env=False,
    )
    assert ready.json()["releases"]["demand"] == current
    version = str(MLflowHook().version("demand", CHAMPION).version)
    promoted = fetch("SELECT version, outcome FROM OPERATIONS.RELEASES WHERE release_id = %s", current)
    assert promoted == [(version, "promoted")]
    return {"release_id": current, "version": version}


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
    text = " ".join((mails[0]["subject"] + mails[0]["body"]).split())
    for part in ("feature_views", "build", run.run_id, "http://127.0.0.1", *WHAT_TO_DO):
        assert part in text


def test_a_killed_scheduler_leaves_what_an_undisturbed_run_leaves(
    stack, airflow, shop, fetch, wait, finished, undisturbed
):
    """On the day after a release, which it forecasts with."""
    day = shop.next_day()
    shop.write_day(day)
    landing = wait(lambda: running_task(airflow, "cdc_ingestion", "land"), what="the landing of the day")
    kill_with_all_children(stack.status()["airflow_scheduler"])
    stack.up()
    wait(
        lambda: finished("drift_monitoring", partition_key=day.isoformat(), state="success"),
        what="the loop's end",
    )
    assert tries(airflow, landing, "land") == 2
    assert_raw_is_the_shop(stack, fetch)
    [(release_id,)] = fetch("SELECT DISTINCT release_id FROM FORECASTS.LEDGER WHERE business_date = %s", day)
    assert release_id == assert_release_serves(stack, fetch)["release_id"]
    expected = undisturbed.run(day, release_id=release_id).connection
    for name, query in left_by(day).items():
        rows = fetch(query)
        assert len(rows) == len(set(rows)), name
        assert digest(rows) == digest(expected.execute(query).fetchall()), name
    assert {model: served(model) for model in ("demand", "order_value")} == {
        model: (day.isoformat(), *undisturbed.published(model, day)) for model in ("demand", "order_value")
    }


def running_task(airflow, dag_id, task_id):
    """The run in which that task runs right now."""
    for run in airflow.runs(dag_id)[-1:]:
        states = {task["task_id"]: task["state"] for task in airflow.task_instances(run)}
        if states.get(task_id) == "running":
            return run
    return None


def tries(airflow, run, task_id):
    return next(task["try_number"] for task in airflow.task_instances(run) if task["task_id"] == task_id)


def assert_raw_is_the_shop(stack, fetch):
    with postgres.connect(stack.configuration, "shop") as connection:
        for table in TABLES.values():
            rows = f"SELECT {', '.join(table.column_names)} FROM {{}}.{table.name}"
            in_shop = connection.execute(rows.format("sales")).fetchall()
            assert digest(fetch(rows.format("RAW"))) == digest(in_shop), table.name


def left_by(day):
    """Queries for what a business day leaves in the cold store; the names of batches and runs are left out."""
    features = {
        name: f"SELECT * FROM FEATURES.{name} WHERE business_date = '{day}'"
        for name in ("DEMAND", "DEMAND_AHEAD", "ORDER_TOTAL")
    }
    # a drain's first transaction is placed where its slot last was, which differs from slot to slot: order is what counts
    order = "DENSE_RANK() OVER (ORDER BY position)"
    history = {
        table.name: f"SELECT {', '.join(table.column_names)}, op, {order}, position_ordinal, generation, known_at "
        f"FROM RAW.{table.name}_CHANGES WHERE position > 0"
        for table in TABLES.values()
    }
    return {
        **history,
        **features,
        "DAILY_SALES": f"SELECT * FROM FEATURES.DAILY_SALES WHERE sales_date = '{day}'",
        "LEDGER": "SELECT series_id, store_id, item_id, sales_date, horizon_days, release_id, mean, q05, q25, q50, q75, "
        f"q95, reason_code FROM FORECASTS.LEDGER WHERE business_date = '{day}'",
    }


def served(model):
    """Business date, count and checksum of the vectors that are read."""
    from shelfcast_provider.hot_store.hot_store_hook import HotStoreHook

    manifest = HotStoreHook().current(model)
    return manifest.business_date, manifest.count, manifest.checksum


def digest(rows):
    """Of rows in any order; numbers count with nine digits, since sums may be made in another order."""
    return hashlib.sha256("\n".join(sorted(map(repr, map(plain, rows)))).encode()).hexdigest()


def plain(row):
    return tuple(f"{float(value):.9g}" if isinstance(value, int | float | Decimal) else str(value) for value in row)


def kill_with_all_children(pid):
    """Kills a service with everything it started, as a crash of the machine would, and waits until nothing is left of it.

    A start right behind the signals would find a scheduler that is still there, and leave it at that.
    """
    parent = psutil.Process(pid)
    killed = [parent, *parent.children(recursive=True)]
    for process in killed:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(killed, timeout=60)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def test_a_shift_of_demand_starts_one_retraining(stack, airflow, fetch, play_days, wait, finished):
    """Asked for once, also when the shift goes on behind it."""
    from shelfcast_local.shop import open_shop

    shifted = open_shop(stack, faults=["distribution_shift=1.8"])
    play_days(shifted, 3)
    [(asked,)] = fetch(REQUESTS)
    run_id = f"retraining_request__{asked}"
    wait(
        lambda: finished("weekly_retraining_demand", run_id=run_id, state="success"),
        what="the retraining that was asked for",
    )
    play_days(shifted, 2)
    assert fetch(REQUESTS) == [(asked,)]
    started = [run.run_id for run in airflow.runs("weekly_retraining_demand")]
    assert [name for name in started if name.startswith("retraining_request__")] == [run_id]


def test_a_drain_killed_in_the_middle_of_a_snapshot_is_made_good_by_its_retry(stack, airflow, fetch, wait, finished):
    folder = ChangeFolder(stack.landing)
    before = folder.last_complete()
    run = airflow.trigger("cdc_ingestion", {"take_snapshot": True})
    drain = wait(lambda: writer_of_a_change_file(stack), what="a snapshot under way")
    drain.kill()
    assert folder.last_complete() == before
    with postgres.connect(stack.configuration, "shop") as connection:
        gone = connection.execute("SELECT min(order_id) FROM sales.orders").fetchone()[0]
        for table in ("order_lines", "orders"):
            connection.execute(f"DELETE FROM sales.{table} WHERE order_id = %s", [gone])
    wait(lambda: finished("cdc_ingestion", run_id=run.run_id, state="success"), what="the retry's end")
    assert tries(airflow, run, "drain") == 2
    assert folder.last_complete() == before + 2
    assert not folder.is_complete(before + 1)
    assert fetch("SELECT COUNT(*) FROM RAW.ORDERS WHERE order_id = %s", gone) == [(0,)]
    assert_raw_is_the_shop(stack, fetch)


def writer_of_a_change_file(stack):
    """The process below the scheduler that has an unfinished change file open with something in it."""
    is_unfinished = has_no_name if storage.is_in_bucket(str(stack.landing)) else is_named_unfinished
    for process in psutil.Process(stack.status()["airflow_scheduler"]).children(recursive=True):
        with suppress(OSError):
            handles = Path(f"/proc/{process.pid}/fd").iterdir()
            if any(is_unfinished(handle) and handle.stat().st_size for handle in handles):
                return process
    return None


def is_named_unfinished(handle):
    return str(handle.readlink()).endswith(UNFINISHED)


def has_no_name(handle):
    """Of a file for a bucket, which is a temporary one until it is whole."""
    return str(handle.readlink()).startswith(tempfile.gettempdir()) and handle.stat().st_nlink == 0


def test_a_second_demo_starts_from_what_is_there(home, stack, shop):
    from shelfcast_local.demo.loop import run

    day = shop.next_day()
    run(None, home=home)
    assert shop.next_day() == day + timedelta(days=1)
    assert json.loads((home / "demo.json").read_text())["days_played"] == [day.isoformat()]


def test_days_follow_one_another_without_gaps(fetch):
    days = [row[0] for row in fetch("SELECT business_date FROM OPERATIONS.BUSINESS_DATES ORDER BY 1")]
    assert days == [date.fromordinal(days[0].toordinal() + number) for number in range(len(days))]
