"""Generations of the hot store: written whole, verified against a manifest, then pointed at.

Keys (`docs/formats/hot-store.md`): `fs:{<shard>}:<model>:<generation>:<entity>` holds a vector, where the shard keeps
what one request reads in one slot of a cluster; `fs:manifest:<model>:<generation>` the manifest; `fs:current:<model>`
names the generation that is read.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date

from shelfcast.errors import HotStoreError

PREFIX = "fs"
SHARDS = 64
"""Shards of entities that have no store, such as customers."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a generation must hold.

    Attributes:
        model: Name of the model.
        generation: Name of the generation.
        business_date: ISO text.
        count: Number of vectors.
        schema: Schema id of each vector.
        checksum: Sum of the values' CRC-32 modulo 2^64: it does not depend on the order.
    """

    model: str
    generation: str
    business_date: str
    count: int
    schema: int
    checksum: int

    def to_json(self) -> str:
        """Text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Manifest":
        """Reads `to_json`'s text."""
        return cls(**json.loads(text))

    def verify(self, values: Iterable[bytes | None]) -> None:
        """Raises `HotStoreError` unless the values are exactly those the manifest was made for."""
        found = list(values)
        missing = sum(value is None for value in found)
        sums = checksum(value for value in found if value is not None)
        if missing or len(found) != self.count or sums != self.checksum:
            raise HotStoreError(
                f"Generation {self.generation} of {self.model} holds {len(found) - missing} of {self.count} vectors, "
                f"checksum {sums} against {self.checksum}. It is not pointed at; readers keep the one before. "
                "Clear the task to write it again."
            )


def checksum(values: Iterable[bytes]) -> int:
    """Sum of CRC-32 modulo 2^64."""
    return sum(map(zlib.crc32, values)) % (1 << 64)


def generation_name(business_date: date, run_id: str) -> str:
    """The generation that a try of a run writes: each its own, so that none is written over while it is read."""
    return f"{business_date:%Y%m%d}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"


def shard(model_entity: str, entity: str) -> str:
    """The part of a key that decides its slot: the store of a series, a bucket of customers."""
    if model_entity == "series_id":
        return entity.rpartition("@")[2]
    return f"{zlib.crc32(entity.encode()) % SHARDS:02d}"


def vector_key(model: str, generation: str, entity: str, *, shard_name: str) -> str:
    """Key of a vector."""
    return f"{PREFIX}:{{{shard_name}}}:{model}:{generation}:{entity}"


def manifest_key(model: str, generation: str) -> str:
    """Key of a manifest."""
    return f"{PREFIX}:manifest:{model}:{generation}"


def members_key(model: str, generation: str) -> str:
    """Key of the set of a generation's entities."""
    return f"{PREFIX}:members:{model}:{generation}"


def pointer_key(model: str) -> str:
    """Key of the name of the generation that is read."""
    return f"{PREFIX}:current:{model}"


def history_key(model: str) -> str:
    """Key of the list of generations that are kept, newest first."""
    return f"{PREFIX}:generations:{model}"
