"""The hot store's format as it is written down."""

import math
import re
import struct
import zlib
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from shelfcast.errors import HotStoreError
from shelfcast.hot_store import generation
from shelfcast.hot_store.vector import pack, unpack

PAGE = (Path(__file__).parents[3] / "docs" / "formats" / "hot-store.md").read_text()
FIELDS = ("units_mean_7", "price_latest", "on_promotion")
DAY = date(2025, 6, 30)


@pytest.fixture
def golden():
    (block,) = re.findall(r"^```\n([0-9a-f \n]+)```$", PAGE, flags=re.M)
    return bytes.fromhex(block)


def test_the_documented_example_is_what_is_packed_and_unpacked(golden):
    numbers = np.array([[1.5, math.nan, -2.0]])
    assert pack(numbers, business_date=DAY, fields=FIELDS) == [golden]
    found = unpack(golden, fields=FIELDS)
    assert found.business_date == DAY
    np.testing.assert_array_equal(found.numbers, numbers[0])


def test_the_documented_example_is_what_the_page_says_without_our_code(golden):
    magic, schema, days, check = struct.unpack("<4sIiI", golden[:16])
    assert magic == b"SCV2"
    assert schema == zlib.crc32(b"units_mean_7,price_latest,on_promotion")
    assert days == (DAY - date(1970, 1, 1)).days
    assert check == zlib.crc32(golden[:12] + golden[16:])
    assert struct.unpack("<f", golden[16:20]) == (1.5,)
    assert golden[20:] == bytes.fromhex("0000c07f") + struct.pack("<f", -2.0)


def test_the_format_before_is_refused(golden):
    before = b"SCV1" + golden[4:12] + struct.pack("<I", zlib.crc32(golden[16:])) + golden[16:]
    with pytest.raises(HotStoreError, match="another format"):
        unpack(before, fields=FIELDS)


def test_the_documented_keys_are_those_that_are_written():
    documented = set(re.findall(r"^\| `(fs:[^`]+)`", PAGE, flags=re.M))
    made = {make("<model>") for make in (generation.pointer_key, generation.generations_key)}
    made |= {make("<model>", "<generation>") for make in (generation.manifest_key, generation.members_key)}
    made.add(generation.vector_key("<model>", "<generation>", "<entity>", shard_name="<shard>"))
    assert documented == made
