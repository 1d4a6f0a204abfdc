"""The operators of the cold store on its shipped fake: a shop of two days, loaded and made into features."""

from datetime import date, datetime, time
from types import SimpleNamespace

import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow.sdk.execution_time.task_runner import _serialize_outlet_events
from served_world import cold_store

from shelfcast.errors import IngestionError, PostConditionFailed
from shelfcast.ingestion.batch import Batch
from shelfcast.sources.shop_schema import TABLES
from shelfcast_provider import mails
from shelfcast_provider.assets import SALES_CHANGES
from shelfcast_provider.cold_store.announcement import announce_in_order, due_dates
from shelfcast_provider.cold_store.build_features_operator import BuildFeaturesOperator
from shelfcast_provider.cold_store.load_batch_operator import LastDrainOperator, LoadBatchOperator

__all__ = ["cold_store"]
FIRST, SECOND = date(2024, 1, 1), date(2024, 1, 2)
ITEMS = ("milk", "soap")


def versions(table, rows, *, batch_id, op, position):
    """Rows of a table as the landing job writes them: each column of the shop, and where in the log they stood."""
    frame = pd.DataFrame(rows).reindex(columns=TABLES[table].column_names)
    place = {"op": op, "position": position, "position_ordinal": position, "generation": 1}
    return frame.assign(**place, committed_at=datetime(2024, 1, 3), batch_id=batch_id)


def shop_day(on, number):
    """An order of every item on one day, and the day's close."""
    at = datetime.combine(on, time(10))
    order = {"store_id": "S1", "ordered_at": at, "status": "completed", "order_amount": 4.0, "customer_id": 7}
    return {
        "orders": [{"order_id": number, **order}],
        "order_lines": [
            {"order_id": number, "line_number": line, "item_id": item, "quantity": 2.0, "unit_price": 1.0}
            for line, item in enumerate(ITEMS)
        ],
        "business_days": [{"business_date": on, "closed_at": datetime.combine(on, time(23, 59, 59))}],
    }


SHOP = {
    "stores": [{"store_id": "S1", "region": "north", "store_group": "a", "opened_on": FIRST}],
    "items": [{"item_id": item, "category": "c", "introduced_on": FIRST} for item in ITEMS],
}


@pytest.fixture
def write(tmp_path):
    """Writes an export of the landing job; returns its folder."""

    def export(name, tables, *, drain, op, position, bad=0, is_mended=False):
        folder = tmp_path / name
        for table, rows in tables.items():
            (folder / table).mkdir(parents=True)
            versions(table, rows, batch_id=name, op=op, position=position).to_parquet(folder / table / "part.parquet")
        if bad:
            (folder / "quarantine" / "orders").mkdir(parents=True)
            refused = {
                "row_key": "1",
                "position": position,
                "position_ordinal": position,
                "reason": "status",
                "row_json": "{}",
            }
            rows = pd.DataFrame([{"batch_id": name, "table_name": "orders", **refused}] * bad)
            rows.to_parquet(folder / "quarantine" / "orders" / "part.parquet")
        counts = {table: len(rows) for table, rows in tables.items()}
        of_orders = {"orders": bad} if bad else {}
        Batch(
            batch_id=name,
            generation=1,
            first_drain=drain,
            last_drain=drain,
            rows=counts,
            quarantined=of_orders,
            keys={name: count + of_orders.get(name, 0) for name, count in counts.items()} if bad else {},
            bad_keys={} if is_mended else of_orders,
        ).save(folder)
        return str(folder)

    return export


@pytest.fixture
def loaded(cold_store, write):
    """The shop's snapshot is loaded: one closed day."""
    last_drain()
    return load(write("b1", SHOP | shop_day(FIRST, 1), drain=1, op="r", position=0))


def last_drain():
    return LastDrainOperator(task_id="loaded").execute({})


def load(export, **about):
    context = {"ti": SimpleNamespace(log_url="http://127.0.0.1/log?a=1&b=2")}
    return LoadBatchOperator(task_id="load", export=export, **about).execute(context)


def build(business_date):
    return BuildFeaturesOperator(task_id="build", business_date=business_date).execute({})


def test_before_the_first_batch_nothing_is_loaded_and_the_tables_are_made(cold_store):
    assert last_drain() == last_drain() == {"generation": 0, "drain": 0}
    assert cold_store.connection.execute("SELECT COUNT(*) FROM RAW.ORDERS").fetchone() == (0,)


def test_a_loaded_batch_answers_counts_and_its_dates_and_is_the_last(loaded, write):
    assert loaded == {"rows": 7, "quarantined": 0, "business_dates": ["2024-01-01"]}
    assert last_drain() == {"generation": 1, "drain": 1}
    next_day = write("b2", shop_day(SECOND, 2), drain=2, op="c", position=50)
    assert load(next_day) == load(next_day) == {"rows": 4, "quarantined": 0, "business_dates": ["2024-01-02"]}
    assert last_drain() == {"generation": 1, "drain": 2}


class Runs:
    """A task instance that knows how many runs of a DAG wait or run."""

    def __init__(self, **active):
        self.active = active

    def get_dr_count(self, *, dag_id, states):
        assert states == ["queued", "running"]
        return self.active.get(dag_id, 0)


def test_a_date_whose_announcement_was_dropped_is_announced_again_before_the_next(loaded, write):
    assert due_dates(loaded["business_dates"], Runs()) == ["2024-01-01"]
    batch = load(write("b2", shop_day(SECOND, 2), drain=2, op="c", position=50))
    assert due_dates(batch["business_dates"], Runs()) == ["2024-01-01", "2024-01-02"]
    build("2024-01-02")  # brings the features of the day before too, but is no run of it
    assert due_dates([], Runs()) == ["2024-01-01"]


def test_a_date_with_a_run_is_announced_once(loaded, write):
    build("2024-01-01")
    batch = load(write("b2", shop_day(SECOND, 2), drain=2, op="c", position=50))
    assert due_dates(batch["business_dates"], Runs()) == ["2024-01-02"]
    build("2024-01-02")
    assert due_dates([], Runs()) == []


def test_while_a_run_waits_no_older_date_is_announced(loaded, write):
    batch = load(write("b2", shop_day(SECOND, 2), drain=2, op="c", position=50))
    assert due_dates(batch["business_dates"], Runs(feature_views=1)) == ["2024-01-02"]
    assert due_dates(batch["business_dates"], Runs(demand_forecast=1)) == ["2024-01-01", "2024-01-02"]


def emitted(emit):
    """Partition keys as a task sends them to Airflow."""
    events = OutletEventAccessors()
    emit(events[SALES_CHANGES])
    return [event["partition_key"] for event in _serialize_outlet_events(events)]


def test_dates_are_emitted_in_their_order():
    """Twenty of them: a set, which is what Airflow keeps them in, has them in order by a chance of one in 20!."""
    dates = [f"2024-03-{number:02}" for number in range(1, 21)]
    assert emitted(lambda event: announce_in_order(event, dates)) == dates
    assert emitted(lambda event: event.add_partitions(dates)) != dates


def test_of_a_snapshot_only_the_newest_date_is_ever_announced(cold_store, write):
    last_drain()
    first, second = shop_day(FIRST, 1), shop_day(SECOND, 2)
    both = SHOP | {table: first[table] + second[table] for table in first}
    batch = load(write("b1", both, drain=1, op="r", position=0))
    assert batch["business_dates"] == due_dates(batch["business_dates"], Runs()) == due_dates([], Runs())


def test_a_batch_with_too_many_bad_rows_fails_for_good_and_is_not_the_last(loaded, write):
    with pytest.raises(AirflowFailException, match="b2"):
        load(write("b2", shop_day(SECOND, 2), drain=2, op="c", position=50, bad=4))
    assert last_drain() == {"generation": 1, "drain": 1}


@pytest.fixture
def sent(monkeypatch):
    """Subject and body of each mail."""
    kept = []
    monkeypatch.setattr(mails, "send", lambda subject, body: kept.append((subject, body)))
    return kept


@pytest.fixture
def some_bad(loaded, write):
    """A batch of four good rows and two bad ones, which were mended in the shop later in the batch."""
    return write("b2", shop_day(SECOND, 2), drain=2, op="c", position=50, bad=2, is_mended=True)


def test_quarantined_rows_are_told_in_the_log_and_by_mail_with_their_reasons(some_bad, sent, capsys):
    assert load(some_bad) == {"rows": 4, "quarantined": 2, "business_dates": ["2024-01-02"]}
    assert "Put 2 of 6 rows (33.3%) into quarantine: orders 2 (status)." in capsys.readouterr().out
    [(subject, body)] = sent
    assert subject == "[shelfcast] 2 of 6 rows in quarantine, b2"
    assert '<tr><td>orders</td><td>status</td><td align="right">2</td></tr>' in body
    assert 'href="http://127.0.0.1/log?a=1&amp;b=2"' in body


def test_up_to_the_declared_share_there_is_a_sentence_and_no_mail(some_bad, sent, capsys):
    load(some_bad, mail_above=2 / 6)
    assert "Put 2 of 6 rows (33.3%) into quarantine" in capsys.readouterr().out
    assert sent == []


def test_a_batch_without_bad_rows_sends_no_mail(loaded, write, sent, capsys):
    load(write("b2", shop_day(SECOND, 2), drain=2, op="c", position=50), mail_above=0.0)
    assert "Put 0 of 4 rows (0.0%) into quarantine." in capsys.readouterr().out
    assert sent == []


def test_a_mail_server_that_is_away_does_not_undo_a_load(some_bad, monkeypatch, capsys):
    def refuse(*_):
        raise ConnectionRefusedError("no mail server")

    monkeypatch.setattr(mails, "send", refuse)
    assert load(some_bad)["rows"] == 4
    assert last_drain() == {"generation": 1, "drain": 2}
    log = capsys.readouterr().out
    assert "could not be sent; the batch is loaded" in log
    assert "no mail server" in log


def test_an_export_that_is_not_finished_is_no_case_for_the_gate_of_bad_rows(loaded, tmp_path):
    with pytest.raises(IngestionError, match="has not finished"):
        load(str(tmp_path))


def test_features_are_built_up_to_the_date_and_counted(loaded, write):
    load(write("b2", shop_day(SECOND, 2), drain=2, op="c", position=50))
    counts = {"series": 2, "active_series": 2, "customers": 1, "business_date": "2024-01-02"}
    assert build("2024-01-02") == {**counts, "dates_built": 2}
    assert build("2024-01-02") == {**counts, "dates_built": 1}, "only the date that was asked for is built again"


def test_a_date_that_the_shop_has_not_closed_is_skipped_with_the_reason(loaded):
    with pytest.raises(AirflowSkipException, match="has not closed 2024-01-02"):
        build("2024-01-02")


@pytest.mark.parametrize("business_date", ["None", "", "2024-13-01", None, "{{ ds }}"])
def test_a_run_without_a_business_date_fails_for_good_before_any_work(business_date):
    with pytest.raises(AirflowFailException, match="partition key"):
        build(business_date)


def test_a_closed_date_without_any_sale_is_not_green(cold_store, write):
    last_drain()
    closed = {"business_days": shop_day(FIRST, 1)["business_days"]}
    load(write("b1", SHOP | closed, drain=1, op="r", position=0))
    with pytest.raises(PostConditionFailed):
        build(FIRST.isoformat())


def test_what_a_run_decides_is_templated():
    assert tuple(LoadBatchOperator.template_fields) == ("export",)
    assert tuple(BuildFeaturesOperator.template_fields) == ("business_date",)
