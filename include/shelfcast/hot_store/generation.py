"""Generations of the hot store: written whole, verified against a manifest, then pointed at.

`docs/formats/hot-store.md` says what each key holds. What belongs to a model as a whole lies in one slot of a cluster,
so that the pointer and what goes with it move in one transaction; what belongs to a store lies in that store's slot,
because one request reads it together.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime

from shelfcast.errors import HotStoreError, NothingToDo
from shelfcast.hot_store.vector import schema_id

PREFIX = "fs"
SHARDS = 64
"""Shards of entities that have no store, such as customers."""

CHECKSUMS = 1 << 64
PIECE_ENTITIES = 2000
"""Series or customers that are read, packed, compared or forecast at a time."""


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


def describe(values: Iterable[bytes], *, model: str, business_date: date, fields: Sequence[str], run: str) -> Manifest:
    """The manifest of a generation that is about to be written.

    Args:
        values: Packed vectors; they are gone through once.
        model: Name of the model.
        business_date: At whose close they were known.
        fields: Names of the vectors' numbers.
        run: Names the try that writes it.
    """
    count = total = 0
    for value in values:
        count, total = count + 1, total + zlib.crc32(value)
    sums = total % CHECKSUMS
    return Manifest(
        model=model,
        # with the content in its name, a generation is never written over by another content
        generation=generation_name(business_date, f"{run}/{sums}"),
        business_date=business_date.isoformat(),
        count=count,
        schema=schema_id(fields),
        checksum=sums,
    )


def checksum(values: Iterable[bytes]) -> int:
    """Sum of CRC-32 modulo 2^64."""
    return sum(map(zlib.crc32, values)) % CHECKSUMS


def generation_name(business_date: date, run_id: str) -> str:
    """The generation that a try of a run writes: each its own, so that none is written over while it is read."""
    return f"{business_date:%Y%m%d}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"


def refuse_older(served: str | None, *, business_date: date, model: str) -> None:
    """Decides whether a business date may be served in the place of what is served now.

    A newer date may, and so may the same one: it brings a restatement.

    Args:
        served: Name of the generation that is served, `None` before the first.
        business_date: The date that is to be served.
        model: Name of the model.

    Raises:
        NothingToDo: A newer business date is served.
        HotStoreError: What is served has no generation's name.
    """
    if served is None:
        return
    try:
        newest = datetime.strptime(served.partition("-")[0], "%Y%m%d").date()
    except ValueError as error:
        raise HotStoreError(
            f"The pointer of {model} holds {served!r}, which is no generation's name (YYYYMMDD-…). Delete the key "
            f"{pointer_key(model)} and clear this task."
        ) from error
    if newest > business_date:
        raise NothingToDo(
            f"The hot store serves {model} of {newest}, which is newer than {business_date}: an older date does not take "
            f"its place. To go back all the same, delete the key {pointer_key(model)} and clear this run."
        )


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
    return f"{PREFIX}:manifest:{{{model}}}:{generation}"


def members_key(model: str, generation: str) -> str:
    """Key of the set of a generation's entities."""
    return f"{PREFIX}:members:{{{model}}}:{generation}"


def pointer_key(model: str) -> str:
    """Key of the name of the generation that is read."""
    return f"{PREFIX}:current:{{{model}}}"


def generations_key(model: str) -> str:
    """Key of the hash of all generations that may have keys, by name: `open` or `retired`."""
    return f"{PREFIX}:generations:{{{model}}}"
