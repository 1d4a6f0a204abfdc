"""The packed vector of a series or customer, as it lies in the hot store (`docs/formats/hot-store.md`).

A value is a header of 16 bytes and little-endian float32 numbers in the order of the model's `vector_fields`:

    4 bytes  magic   b"SCV1"
    4 bytes  schema  CRC-32 of the field names joined by commas
    4 bytes  date    business date in days since 1970-01-01, signed
    4 bytes  check   CRC-32 of the numbers
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from shelfcast.errors import HotStoreError

MAGIC = b"SCV1"
HEADER = struct.Struct("<4sIiI")
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


def pack(numbers: npt.NDArray[np.floating], *, business_date: date, fields: Sequence[str]) -> list[bytes]:
    """Packs rows of shape (n, fields) into n values.

    Raises:
        HotStoreError: The rows do not have a number for each field.
    """
    if numbers.ndim != 2 or numbers.shape[1] != len(fields):
        raise HotStoreError(f"Rows of {numbers.shape[-1]} numbers cannot be packed as vectors of {len(fields)} fields.")
    schema, days = schema_id(fields), (business_date - EPOCH).days
    payloads = (row.tobytes() for row in np.ascontiguousarray(numbers, dtype="<f4"))
    return [HEADER.pack(MAGIC, schema, days, zlib.crc32(payload)) + payload for payload in payloads]


def unpack(value: bytes, *, fields: Sequence[str]) -> Vector:
    """Reads a value; raises `HotStoreError` for any that is cut, damaged or of other fields."""
    if len(value) != HEADER.size + 4 * len(fields):
        raise HotStoreError(f"A vector has {len(value)} bytes, {HEADER.size + 4 * len(fields)} were expected.")
    magic, schema, days, check = HEADER.unpack_from(value)
    payload = value[HEADER.size :]
    if magic != MAGIC or schema != schema_id(fields):
        raise HotStoreError("A vector belongs to another version of the model's fields. Refresh the feature cache.")
    if zlib.crc32(payload) != check:
        raise HotStoreError("A vector is damaged: its checksum does not fit. Refresh the feature cache.")
    return Vector(business_date=EPOCH + timedelta(days=days), numbers=np.frombuffer(payload, dtype="<f4"))
