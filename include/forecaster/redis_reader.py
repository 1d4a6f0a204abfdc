"""Reads packed vectors from Redis."""

from redis.asyncio import Redis
from redis.exceptions import RedisError

from shelfcast.errors import HotStoreError
from shelfcast.hot_store.generation import pointer_key, shard, vector_key
from shelfcast.hot_store.vector import Vector, unpack
from shelfcast.model.declaration import ModelDeclaration


class RedisReader:
    """A `shelfcast.serving.routes.VectorReader`; the pointer is read once a request.

    Args:
        url: Address with password.
    """

    def __init__(self, url: str) -> None:
        self._client = Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)

    async def read(self, declaration: ModelDeclaration, entity: str) -> tuple[str, Vector | None]:
        """Generation that is read, and the entity's vector in it; raises `HotStoreError` when the store fails."""
        model = declaration.name
        try:
            pointed = await self._client.get(pointer_key(model))
            if pointed is None:
                raise HotStoreError(f"The hot store holds no generation of {model} yet. Run feature_cache_refresh.")
            generation = pointed.decode() if isinstance(pointed, bytes) else pointed
            name = shard(declaration.entity, entity)
            value = await self._client.get(vector_key(model, generation, entity, shard_name=name))
        except RedisError as error:
            raise HotStoreError(f"The hot store does not answer ({type(error).__name__}). See that it runs.") from error
        return generation, None if value is None else unpack(
            value if isinstance(value, bytes) else value.encode(), fields=declaration.vector_fields
        )
