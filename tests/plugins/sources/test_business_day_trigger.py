"""The watcher of the shop: one event a newly closed day, none while the shop is away."""

import asyncio
import importlib
import json
import socket

import pytest

from shelfcast_provider.sources.business_day_trigger import BusinessDayClosedTrigger


class ScriptedTrigger(BusinessDayClosedTrigger):
    """Sees one answer after another, and ends the watch behind the last one."""

    def __init__(self, *answers):
        super().__init__(poll_seconds=0)
        self.answers = list(answers)

    async def latest_business_day(self):
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)


def dates_of(trigger):
    async def watch():
        seen = []
        try:
            async for event in trigger.run():
                seen.append(event.payload["business_date"])
        except EOFError:
            return seen

    return asyncio.run(watch())


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([None, None], []),
        (["2024-01-01", "2024-01-01", "2024-01-01"], ["2024-01-01"]),
        (["2024-01-01", "2024-01-02", "2024-01-02"], ["2024-01-01", "2024-01-02"]),
        ([None, "2024-01-01", None, "2024-01-01"], ["2024-01-01"]),
        (["2024-01-01", None, "2024-01-04"], ["2024-01-01", "2024-01-04"]),
    ],
)
def test_each_newest_closed_day_is_told_once_and_an_absence_never(answers, expected):
    assert dates_of(ScriptedTrigger(*answers)) == expected


def test_the_triggerer_makes_the_same_trigger_from_what_is_kept():
    path, arguments = BusinessDayClosedTrigger("another_shop", poll_seconds=2.5).serialize()
    module, _, name = path.rpartition(".")
    made = getattr(importlib.import_module(module), name)(**arguments)
    assert type(made) is BusinessDayClosedTrigger
    assert (made.connection_id, made.poll_seconds) == ("another_shop", 2.5)


def test_a_shop_that_does_not_answer_is_no_event_and_no_failure(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    address = {
        "conn_type": "postgres",
        "host": "127.0.0.1",
        "port": port,
        "login": "shop",
        "password": "x",
        "schema": "shop",
    }
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_DATABASE", json.dumps(address))
    assert asyncio.run(BusinessDayClosedTrigger().latest_business_day()) is None
