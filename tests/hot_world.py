"""Generations of a few vectors in a real hot store, and publishers that can be disturbed at any command."""

from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
from redis import Connection, ConnectionPool, Redis

from shelfcast.hot_store.generation import describe, shard, vector_key
from shelfcast.hot_store.vector import pack, unpack
from shelfcast_provider.hot_store.hot_store_hook import HotStoreHook

FIELDS = ("a", "b")
DAY = date(2025, 6, 30)
NEXT, AFTER = DAY + timedelta(days=1), DAY + timedelta(days=2)
ENTITIES = ["milk@S1", "milk@S2", "soap@S1", "soap@S2", "tea@S1"]


class Watched(Connection):
    """Calls `before` and `after` around each command that it sends."""

    around = SimpleNamespace(before=None, after=None)

    def send_packed_command(self, command, check_health=True):
        if self.around.before:
            self.around.before()
        super().send_packed_command(command, check_health)
        if self.around.after:
            self.around.after()


def generation(number, *, day=DAY, entities=ENTITIES, run="a run"):
    """Manifest and vectors of a generation whose numbers are all `number`, in pieces of three."""
    values = pack(np.full((len(entities), 2), number), business_date=day, fields=FIELDS)
    pairs = list(zip(entities, values, strict=True))
    pieces = [dict(pairs[start : start + 3]) for start in range(0, len(pairs), 3)]
    return describe(values, model="demand", business_date=day, fields=FIELDS, run=run), pieces


def publish(hook, number, **about):
    manifest, pieces = generation(number, **about)
    hook.publish(manifest, pieces, entity_kind="series_id")
    return manifest


def watched(hook, **around):
    """A hook of the same server, connected, whose commands are watched from now on."""
    connection = type("Own", (Watched,), {"around": SimpleNamespace(before=None, after=None)})
    other, settings = HotStoreHook(), hook.get_conn().connection_pool.connection_kwargs
    other._client = Redis(connection_pool=ConnectionPool(connection, **settings))
    other._client.ping()
    vars(connection.around).update(around)
    return other


def numbers_read(hook):
    """What a reader sees: the same number in each vector, of a whole generation."""
    found = hook.read(hook.current("demand"), entity_kind="series_id")
    (number,) = {float(each) for value in found.values() for each in unpack(value, fields=FIELDS).numbers}
    return number


def count_of_keys(*sizes):
    """Pointer and states, and for each generation manifest, members and vectors."""
    return 2 + sum(2 + size for size in sizes)


def key_of(manifest, entity):
    return vector_key("demand", manifest.generation, entity, shard_name=shard("series_id", entity))
