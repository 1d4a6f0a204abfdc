"""The packed vector of a series or customer, as it lies in the hot store (`docs/formats/hot-store.md`).

A value is a header of 16 bytes and little-endian float32 numbers in the order of the model's `vector_fields`:

    4 bytes  magic   b"SCV2"
    4 bytes  schema  CRC-32 of the field names joined by commas
    4 bytes  date    business date in days since 1970-01-01, signed
    4 bytes  check   CRC-32 of the twelve bytes above and the numbers
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from shelfcast.errors import HotStoreError

MAGIC = b"SCV2"
IDENTITY = struct.Struct("<4sIi")
CHECK = struct.Struct("<I")
HEADER_BYTES = IDENTITY.size + CHECK.size
EPOCH = date(1970, 1, 1)

Numbers = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Vector:
    """An unpacked value.

    Attributes:
        business_date: At whose close the numbers were known.
        numbers: float32, one a field; NaN is not known.
    """

    business_date: date
    numbers: Numbers


def schema_id(fields: Sequence[str]) -> int:
    """What a value's header says of its fields: CRC-32 of the names joined by commas."""
    return zlib.crc32(",".join(fields).encode())


def identity(*, schema: int, business_date: date) -> bytes:
    """The twelve bytes that every value of a generation begins with."""
    return IDENTITY.pack(MAGIC, schema, (business_date - EPOCH).days)


def is_intact(value: bytes) -> bool:
    """Whether a value's check fits the rest of it."""
    head, check, payload = value[: IDENTITY.size], value[IDENTITY.size : HEADER_BYTES], value[HEADER_BYTES:]
    return check == CHECK.pack(zlib.crc32(payload, zlib.crc32(head)))


def pack(numbers: npt.NDArray[np.floating], *, business_date: date, fields: Sequence[str]) -> list[bytes]:
    """Packs rows of shape (n, fields) into n values.

    Raises:
        HotStoreError: The rows do not have a number for each field.
    """
    if numbers.ndim != 2 or numbers.shape[1] != len(fields):
        raise HotStoreError(f"Rows of {numbers.shape[-1]} numbers cannot be packed as vectors of {len(fields)} fields.")
    head = identity(schema=schema_id(fields), business_date=business_date)
    begun = zlib.crc32(head)
    payloads = (row.tobytes() for row in np.ascontiguousarray(numbers, dtype="<f4"))
    return [head + CHECK.pack(zlib.crc32(payload, begun)) + payload for payload in payloads]


def unpack(value: bytes, *, fields: Sequence[str]) -> Vector:
    """Reads a value; raises `HotStoreError` for any that is cut, damaged, of other fields or of another format."""
    if len(value) != HEADER_BYTES + 4 * len(fields):
        raise HotStoreError(
            f"A vector has {len(value)} bytes, {HEADER_BYTES + 4 * len(fields)} were expected: it is cut, or belongs to "
            "another version of the model's fields. Run feature_cache_refresh."
        )
    magic, schema, days = IDENTITY.unpack_from(value)
    if magic != MAGIC:
        raise HotStoreError(
            f"A vector begins with {magic!r}, not {MAGIC!r}: it was written in another format. Run feature_cache_refresh."
        )
    if not is_intact(value):
        raise HotStoreError("A vector is damaged: its checksum does not fit. Run feature_cache_refresh.")
    if schema != schema_id(fields):
        raise HotStoreError("A vector belongs to another version of the model's fields. Run feature_cache_refresh.")
    return Vector(
        business_date=EPOCH + timedelta(days=days), numbers=np.frombuffer(value, dtype="<f4", offset=HEADER_BYTES)
    )
