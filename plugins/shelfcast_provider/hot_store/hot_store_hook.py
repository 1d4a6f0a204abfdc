"""The hot store: generations of packed vectors in Redis."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from airflow.sdk import BaseHook

from shelfcast.errors import HotStoreError
from shelfcast.hot_store.generation import (
    Manifest,
    history_key,
    manifest_key,
    members_key,
    pointer_key,
    shard,
    vector_key,
)
from shelfcast_provider.connections import HOT_STORE, check_extras

if TYPE_CHECKING:
    from redis import Redis

T = TypeVar("T")
KEYS_A_WRITE = 1000


class HotStoreHook(BaseHook):
    """Writes, verifies, points at and reads generations.

    Args:
        connection_id: Redis connection.
    """

    conn_name_attr = "connection_id"
    default_conn_name = HOT_STORE

    def __init__(self, connection_id: str = HOT_STORE) -> None:
        super().__init__()
        self.connection_id = connection_id
        self._client: Redis | None = None

    def get_conn(self) -> "Redis":
        """The client, made at the first call."""
        if self._client is None:
            from redis import Redis

            found = self.get_connection(self.connection_id)
            extras = found.extra_dejson
            check_extras(HOT_STORE, extras)
            self._client = Redis(
                host=found.host or "127.0.0.1",
                port=found.port or 6379,
                username=found.login or None,
                password=found.password,
                socket_timeout=30,
                **extras,
            )
        return self._client

    def publish(
        self, manifest: Manifest, entities: Sequence[str], values: Sequence[bytes], *, entity_kind: str
    ) -> None:
        """Writes a generation, verifies it and moves the pointer; older generations than the one before are retired.

        Killed anywhere, it can be called again; until the pointer moves, nobody reads what it wrote.

        Raises:
            HotStoreError: What the store holds is not what was written; the pointer was not moved.
        """
        client, model, generation = self.get_conn(), manifest.model, manifest.generation
        keys = [vector_key(model, generation, name, shard_name=shard(entity_kind, name)) for name in entities]
        before = client.get(pointer_key(model))
        client.lrem(history_key(model), 0, generation)
        client.lpush(history_key(model), generation)  # first of all: what a kill leaves behind is found and retired
        for chunk in _chunks(zip(keys, values, strict=True)):
            client.mset(dict(chunk))
        for names in _chunks(entities):
            client.sadd(members_key(model, generation), *names)
        manifest.verify(self._values(keys))
        client.set(manifest_key(model, generation), manifest.to_json())
        client.set(pointer_key(model), generation)
        kept = {generation, _text(before)} if before is not None else {generation}
        self._retire(model, entity_kind, kept=kept)

    def current(self, model: str) -> Manifest:
        """The manifest of the generation that is read; raises `HotStoreError` before the first one."""
        client = self.get_conn()
        generation = client.get(pointer_key(model))
        if generation is None:
            raise HotStoreError(f"The hot store holds no generation of {model} yet. Run feature_cache_refresh.")
        text = client.get(manifest_key(model, _text(generation)))
        if text is None:
            raise HotStoreError(
                f"The manifest of generation {generation!r} of {model} is gone. Run feature_cache_refresh."
            )
        return Manifest.from_json(text)

    def read(self, manifest: Manifest, *, entity_kind: str) -> dict[str, bytes]:
        """All vectors of a generation by entity."""
        client = self.get_conn()
        names = sorted(_text(name) for name in client.smembers(members_key(manifest.model, manifest.generation)))
        model, generation = manifest.model, manifest.generation
        keys = [vector_key(model, generation, name, shard_name=shard(entity_kind, name)) for name in names]
        found = dict(zip(names, self._values(keys), strict=True))
        return {name: value for name, value in found.items() if value is not None}

    def _values(self, keys: Sequence[str]) -> Iterator[bytes | None]:
        for chunk in _chunks(keys):
            for value in self.get_conn().mget(chunk):
                yield value if value is None or isinstance(value, bytes) else value.encode()

    def _retire(self, model: str, entity_kind: str, *, kept: set[str]) -> None:
        """Removes every generation but the one that is read and the one before it, for readers who took it just now."""
        client = self.get_conn()
        for generation in {_text(old) for old in client.lrange(history_key(model), 0, -1)} - kept:
            members = members_key(model, generation)
            for names in _chunks(client.smembers(members)):
                texts = [_text(name) for name in names]
                client.unlink(
                    *(vector_key(model, generation, text, shard_name=shard(entity_kind, text)) for text in texts)
                )
            client.unlink(members, manifest_key(model, generation))
            client.lrem(history_key(model), 0, generation)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _chunks(items: "Sequence[T] | Iterator[T] | set[T] | zip[T]") -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, KEYS_A_WRITE)):
        yield chunk
