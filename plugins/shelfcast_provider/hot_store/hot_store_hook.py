"""The hot store: generations of packed vectors in Redis."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import BaseHook

from shelfcast.errors import HotStoreError, NothingToDo
from shelfcast.hot_store.generation import (
    Manifest,
    generations_key,
    manifest_key,
    members_key,
    pointer_key,
    refuse_older,
    shard,
    vector_key,
)
from shelfcast_provider.connections import HOT_STORE, check_extras

if TYPE_CHECKING:
    from redis import Redis

T = TypeVar("T")
KEYS_A_WRITE = 1000
OPEN, RETIRED = "open", "retired"
"""States of a generation: it may be written and read; its keys are being removed."""

NOT_POINTED_AT = "It is not pointed at; readers keep the one before. Clear the task to write it again."
NOT_READ = (
    "Nothing was read. It may have been retired meanwhile: try again; if it repeats, clear feature_cache_refresh."
)


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

        Killed anywhere, it can be called again; until the pointer moves, nobody reads what it wrote. Of two calls at a
        time, the one that loses says so and leaves nothing behind.

        Raises:
            NothingToDo: A newer business date is served; the pointer was not moved.
            HotStoreError: What the store holds is not what was written, or another call retired it meanwhile; the
                pointer was not moved.
        """
        served = _served(self.get_conn(), manifest.model)
        refuse_older(served, business_date=date.fromisoformat(manifest.business_date), model=manifest.model)
        if served == manifest.generation:
            self.read(manifest, entity_kind=entity_kind)  # a try that was cut off behind its last step
            return
        keys = _keys(manifest.model, manifest.generation, entities, entity_kind)
        try:
            self._write(manifest, entities, keys, values)
            self._verified(manifest, entity_kind, remedy=NOT_POINTED_AT)
            before = self._point(manifest)
        except (NothingToDo, HotStoreError):  # retired meanwhile, nobody else may know of what was written since
            self._remove(manifest.model, manifest.generation, keys)
            raise
        self._retire(manifest, entity_kind, before=before)

    def current(self, model: str) -> Manifest:
        """The manifest of the generation that is read; raises `HotStoreError` before the first one."""
        generation = _served(self.get_conn(), model)
        if generation is None:
            raise HotStoreError(f"The hot store holds no generation of {model} yet. Run feature_cache_refresh.")
        text = self.get_conn().get(manifest_key(model, generation))
        if text is None:
            raise HotStoreError(
                f"The manifest of generation {generation} of {model} is gone; it may have been retired meanwhile. Try "
                "again; if it repeats, run feature_cache_refresh."
            )
        return Manifest.from_json(text)

    def read(self, manifest: Manifest, *, entity_kind: str) -> dict[str, bytes]:
        """All vectors of a generation by entity, verified against the manifest.

        Raises:
            HotStoreError: Vectors are missing, damaged, too many, or of another business date; at most ten are named.
        """
        return self._verified(manifest, entity_kind, remedy=NOT_READ)

    def _write(self, manifest: Manifest, entities: Sequence[str], keys: Sequence[str], values: Sequence[bytes]) -> None:
        """Each step names what the next one makes, so that whatever a kill leaves behind is found and retired."""
        client, model, generation = self.get_conn(), manifest.model, manifest.generation
        client.hset(generations_key(model), generation, OPEN)
        for chunk in _chunks(zip(entities, keys, values, strict=True)):
            client.sadd(members_key(model, generation), *(name for name, _, _ in chunk))
            client.mset({key: value for _, key, value in chunk})

    def _point(self, manifest: Manifest) -> str | None:
        """Moves the pointer unless a newer date has taken it meanwhile; answers the generation it was moved from."""
        client: Any = self.get_conn()
        model, generation, generations = manifest.model, manifest.generation, generations_key(manifest.model)

        def move(transaction: Any) -> str | None:
            before = _served(transaction, model)
            refuse_older(before, business_date=date.fromisoformat(manifest.business_date), model=model)
            state = transaction.hget(generations, generation)
            if state is None or _text(state) != OPEN:
                raise HotStoreError(
                    f"Generation {generation} of {model} was retired while it was written: another run published {before} "
                    f"meanwhile. {NOT_POINTED_AT}"
                )
            transaction.multi()
            transaction.set(manifest_key(model, generation), manifest.to_json())
            transaction.set(pointer_key(model), generation)
            return before

        moved: str | None = client.transaction(move, pointer_key(model), generations, value_from_callable=True)
        return moved

    def _retire(self, manifest: Manifest, entity_kind: str, *, before: str | None) -> None:
        """Removes every generation but the one that is read and the one before it, for readers who took it just now."""
        client: Any = self.get_conn()
        model, generation, generations = manifest.model, manifest.generation, generations_key(manifest.model)

        def mark(transaction: Any) -> set[str]:
            """From here on, whoever still writes one of them cannot point at it."""
            is_read = _served(transaction, model) == generation
            known = {_text(name) for name in transaction.hkeys(generations)}
            stale = known - {generation, before} if is_read else set()
            transaction.multi()
            for name in stale:
                transaction.hset(generations, name, RETIRED)
            return stale

        for name in client.transaction(mark, pointer_key(model), generations, value_from_callable=True):
            self._remove(model, name, _keys(model, name, self._members(model, name), entity_kind))

    def _remove(self, model: str, generation: str, keys: Sequence[str]) -> None:
        client = self.get_conn()
        for chunk in _chunks(keys):
            client.unlink(*chunk)
        client.unlink(members_key(model, generation), manifest_key(model, generation))
        client.hdel(generations_key(model), generation)

    def _verified(self, manifest: Manifest, entity_kind: str, *, remedy: str) -> dict[str, bytes]:
        names = self._members(manifest.model, manifest.generation)
        keys = _keys(manifest.model, manifest.generation, names, entity_kind)
        values: Any = (value for chunk in _chunks(keys) for value in self.get_conn().mget(chunk))
        return manifest.verify(dict(zip(names, values, strict=True)), remedy=remedy)

    def _members(self, model: str, generation: str) -> list[str]:
        return sorted(_text(name) for name in self.get_conn().smembers(members_key(model, generation)))


def _served(client: Any, model: str) -> str | None:
    found = client.get(pointer_key(model))
    return None if found is None else _text(found)


def _keys(model: str, generation: str, entities: Sequence[str], entity_kind: str) -> list[str]:
    return [vector_key(model, generation, name, shard_name=shard(entity_kind, name)) for name in entities]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, KEYS_A_WRITE)):
        yield chunk
