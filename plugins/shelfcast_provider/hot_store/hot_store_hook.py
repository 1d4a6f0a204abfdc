"""The hot store: generations of packed vectors in Redis."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from shelfcast.hot_store.generation_reader import GenerationReader
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

    def publish(self, manifest: Manifest, pieces: Iterable[Mapping[str, bytes]], *, entity_kind: str) -> None:
        """Writes a generation, verifies it and moves the pointer; older generations than the one before are retired.

        Killed anywhere, it can be called again; until the pointer moves, nobody reads what it wrote. Of two calls at a
        time, the one that loses says so and leaves nothing behind.

        Args:
            manifest: What the generation must hold.
            pieces: Packed vectors by entity, a piece at a time; gone through again if what was written is taken back.
            entity_kind: What an entity is.

        Raises:
            NothingToDo: A newer business date is served; the pointer was not moved.
            HotStoreError: What the store holds is not what was written, or another call retired it meanwhile; the
                pointer was not moved.
        """
        served = _served(self.get_conn(), manifest.model)
        refuse_older(served, business_date=date.fromisoformat(manifest.business_date), model=manifest.model)
        if served == manifest.generation:
            self.reader(manifest, entity_kind=entity_kind).finish()  # a try that was cut off behind its last step
            return
        try:
            self._write(manifest, pieces, entity_kind)
            self.reader(manifest, entity_kind=entity_kind, remedy=NOT_POINTED_AT).finish()
            before = self._point(manifest)
        except (NothingToDo, HotStoreError):  # retired meanwhile, nobody else may know of what was written since
            self._remove(manifest.model, manifest.generation, (name for piece in pieces for name in piece), entity_kind)
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
        reader = self.reader(manifest, entity_kind=entity_kind)
        found = reader.take(sorted(reader.left))
        reader.finish()
        return found

    def reader(self, manifest: Manifest, *, entity_kind: str, remedy: str = NOT_READ) -> GenerationReader:
        """Reads a generation piece by piece; `remedy` ends the message if it is not what the manifest was made for."""
        client: Any = self.get_conn()
        model, generation = manifest.model, manifest.generation

        def values_of(names: Sequence[str]) -> Iterator[bytes | None]:
            for chunk in _chunks(names):
                yield from client.mget(_keys(model, generation, chunk, entity_kind))

        members = map(_text, client.smembers(members_key(model, generation)))
        return GenerationReader(manifest, members, values_of, remedy=remedy)

    def _write(self, manifest: Manifest, pieces: Iterable[Mapping[str, bytes]], entity_kind: str) -> None:
        """Each step names what the next one makes, so that whatever a kill leaves behind is found and retired."""
        client, model, generation = self.get_conn(), manifest.model, manifest.generation
        client.hset(generations_key(model), generation, OPEN)
        for chunk in _chunks(each for piece in pieces for each in piece.items()):
            names, values = zip(*chunk, strict=True)
            client.sadd(members_key(model, generation), *names)
            client.mset(dict(zip(_keys(model, generation, names, entity_kind), values, strict=True)))

    def _point(self, manifest: Manifest) -> str | None:
        """Moves the pointer unless a newer date has taken it meanwhile; returns the generation it was moved from."""
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
            members = client.sscan_iter(members_key(model, name), count=KEYS_A_WRITE)
            self._remove(model, name, map(_text, members), entity_kind)

    def _remove(self, model: str, generation: str, entities: Iterable[str], entity_kind: str) -> None:
        client = self.get_conn()
        for chunk in _chunks(entities):
            client.unlink(*_keys(model, generation, chunk, entity_kind))
        client.unlink(members_key(model, generation), manifest_key(model, generation))
        client.hdel(generations_key(model), generation)


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
