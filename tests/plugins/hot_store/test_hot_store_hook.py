"""Generations in a real server: written whole, verified on every way, kept for those who read."""

import json
from datetime import timedelta

import numpy as np
import pytest
from hot_world import DAY, FIELDS, NEXT, count_of_keys, key_of, numbers_read, publish, watched

from shelfcast.errors import ConfigurationError, HotStoreError, NothingToDo
from shelfcast.hot_store.generation import describe, members_key, pointer_key
from shelfcast.hot_store.vector import pack
from shelfcast_provider.hot_store.hot_store_hook import HotStoreHook


def test_a_generation_is_written_verified_pointed_at_and_the_one_before_is_kept(hot_store):
    with pytest.raises(HotStoreError, match="holds no generation of demand yet"):
        hot_store.current("demand")
    manifests = []
    for number in (1, 2, 3, 4):
        manifests.append(publish(hot_store, number, day=DAY + timedelta(days=number)))
        assert hot_store.current("demand") == manifests[-1]
        assert numbers_read(hot_store) == number
        assert hot_store.get_conn().dbsize() == count_of_keys(*[5] * min(number, 2))
    assert len(hot_store.read(manifests[2], entity_kind="series_id")) == 5, "readers who took the pointer before"
    with pytest.raises(HotStoreError, match="holds 0 of 5 vectors"):
        hot_store.read(manifests[1], entity_kind="series_id")


def test_models_do_not_touch_each_other(hot_store):
    values = pack(np.ones((2, 2)), business_date=DAY, fields=FIELDS)
    orders = describe(values, model="order_value", business_date=DAY, fields=FIELDS, run="a run")
    hot_store.publish(orders, [{"7": values[0]}, {"8": values[1]}], entity_kind="customer_id")
    for number in (1, 2, 3):
        publish(hot_store, number)
    assert sorted(hot_store.read(hot_store.current("order_value"), entity_kind="customer_id")) == ["7", "8"]


def test_a_reader_is_told_which_vectors_are_missing(hot_store):
    entities = [f"i{number:02d}@S1" for number in range(14)]
    manifest = publish(hot_store, 1, entities=entities)
    hot_store.get_conn().unlink(*(key_of(manifest, name) for name in entities[:12]))
    with pytest.raises(
        HotStoreError, match=r"holds 2 of 14 vectors.*vector: i00@S1, .*i09@S1 and 2 more\. Nothing was"
    ):
        hot_store.read(manifest, entity_kind="series_id")


def test_a_reader_is_told_of_a_lost_entity_and_of_a_damaged_or_stale_vector(hot_store):
    manifest, client = publish(hot_store, 1), hot_store.get_conn()
    stale = pack(np.ones((1, 2)), business_date=DAY - timedelta(days=1), fields=FIELDS)[0]
    for spoil, message in (
        (lambda: client.setrange(key_of(manifest, "tea@S1"), 9, b"!"), r"damaged: tea@S1"),
        (lambda: client.set(key_of(manifest, "tea@S1"), stale), r"than that of 2025-06-30: tea@S1"),
        (lambda: client.srem(members_key("demand", manifest.generation), "tea@S1"), "holds 4 of 5 vectors"),
    ):
        spoil()
        with pytest.raises(HotStoreError, match=message):
            hot_store.read(manifest, entity_kind="series_id")


def test_a_vector_that_is_damaged_before_it_is_verified_keeps_the_pointer(hot_store, monkeypatch):
    publish(hot_store, 1)
    write = HotStoreHook._write

    def write_and_damage(self, manifest, *rest):
        write(self, manifest, *rest)
        self.get_conn().setrange(key_of(manifest, "milk@S2"), 20, b"!")

    monkeypatch.setattr(HotStoreHook, "_write", write_and_damage)
    with pytest.raises(HotStoreError, match=r"damaged: milk@S2\. It is not pointed at"):
        publish(hot_store, 2, day=NEXT)
    assert numbers_read(hot_store) == 1
    monkeypatch.undo()
    publish(hot_store, 3, day=NEXT)
    assert hot_store.get_conn().dbsize() == count_of_keys(5, 5)


def test_an_older_date_does_not_take_the_pointer_and_writes_nothing(hot_store):
    publish(hot_store, 1, day=NEXT)
    sent = []
    with pytest.raises(NothingToDo, match="serves demand of 2025-07-01, which is newer than 2025-06-30"):
        publish(watched(hot_store, before=lambda: sent.append(1)), 2, day=DAY)
    assert len(sent) == 1, "it looked where the pointer is"
    assert numbers_read(hot_store) == 1
    assert hot_store.get_conn().dbsize() == count_of_keys(5)


def test_a_restatement_of_the_same_date_takes_the_pointer(hot_store):
    publish(hot_store, 1)
    publish(hot_store, 2, run="a later run")
    assert numbers_read(hot_store) == 2


def test_what_is_read_already_is_published_again_without_a_step(hot_store):
    publish(hot_store, 1)
    before = publish(hot_store, 2)
    again = []
    publish(watched(hot_store, before=lambda: again.append(1)), 2)
    assert len(again) == 5, "the pointer, the entities, three times two vectors"
    assert numbers_read(hot_store) == 2
    assert hot_store.current("demand") == before
    hot_store.get_conn().unlink(key_of(before, "milk@S1"))
    with pytest.raises(HotStoreError, match="without a vector: milk@S1"):
        publish(hot_store, 2)


def test_a_pointer_without_its_manifest_is_said_and_mended_by_a_run_of_the_same_date(hot_store):
    manifest = publish(hot_store, 1)
    hot_store.get_conn().delete(f"fs:manifest:{{demand}}:{manifest.generation}")
    with pytest.raises(HotStoreError, match=r"manifest of generation .* is gone"):
        hot_store.current("demand")
    publish(hot_store, 1, run="the next run")
    assert numbers_read(hot_store) == 1
    hot_store.get_conn().set(pointer_key("demand"), "by hand")
    with pytest.raises(HotStoreError, match="no generation's name"):
        publish(hot_store, 2, run="one more")


def test_an_extra_that_is_not_allowed_is_refused(monkeypatch):
    connection = {"conn_type": "redis", "host": "127.0.0.1", "extra": {"decode_responses": True}}
    monkeypatch.setenv("AIRFLOW_CONN_HOT_STORE", json.dumps(connection))
    with pytest.raises(ConfigurationError, match="decode_responses"):
        HotStoreHook().get_conn()
