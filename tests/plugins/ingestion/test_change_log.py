"""A slot that a killed reader's connection still holds."""

import psycopg
import pytest

from shelfcast.errors import SourceError
from shelfcast_provider.ingestion.change_log import ChangeLog


class Source:
    """A connection over which the slot is held for the first so many questions."""

    def __init__(self, held):
        self.held, self.asked = held, 0

    def execute(self, _statement, _values):
        self.asked += 1
        if self.asked <= self.held:
            raise psycopg.errors.ObjectInUse("replication slot is active")
        return self

    def fetchall(self):
        return []


def test_a_slot_that_is_let_go_is_dropped():
    source = Source(held=1)
    ChangeLog(source, slot="shelfcast", publication="shelfcast").drop_slot()
    assert source.asked == 2


def test_a_slot_that_is_read_by_another_process_is_an_error_after_the_limit():
    source = Source(held=9)
    with pytest.raises(SourceError, match="slot shelfcast is read by another process"):
        ChangeLog(source, slot="shelfcast", publication="shelfcast").drop_slot(limit_seconds=0.1)
    assert source.asked == 2
