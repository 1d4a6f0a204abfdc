"""What a generation must hold, and which may be served after which."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfcast.errors import HotStoreError, NothingToDo
from shelfcast.hot_store import generation_reader
from shelfcast.hot_store.generation import Manifest, describe, generation_name, refuse_older
from shelfcast.hot_store.generation_reader import GenerationReader
from shelfcast.hot_store.vector import pack

FIELDS = ("a", "b", "c")
DAY = date(2025, 6, 30)
ROWS = np.arange(9.0).reshape(3, 3)


def generation(day=DAY, rows=ROWS):
    """A manifest and the vectors it was made for."""
    values = pack(rows, business_date=day, fields=FIELDS)
    manifest = describe(iter(values), model="demand", business_date=day, fields=FIELDS, run="a run")
    return manifest, dict(zip(("x@1", "y@1", "z@1"), values, strict=True))


def reader(manifest, found):
    """Reads a generation that lists the entities of `found`, whatever it holds of them."""
    return GenerationReader(manifest, found, lambda names: [found[name] for name in names], remedy="Do this.")


def test_a_manifest_is_met_by_its_vectors_in_any_order():
    manifest, found = generation()
    assert Manifest.from_json(manifest.to_json()) == manifest
    reading = reader(manifest, found)
    assert reading.take(["z@1", "y@1", "x@1"]) == found
    reading.finish()


@pytest.mark.parametrize("pieces", [[], [["y@1"]], [["z@1", "not listed"], ["x@1"]], [["x@1"], ["x@1"], ["y@1"]]])
def test_whoever_takes_some_vectors_is_told_of_the_whole_generation(pieces):
    """What is taken comes once; the rest is read in the end."""
    manifest, found = generation()
    reading = reader(manifest, found)
    taken = [name for piece in pieces for name in reading.take(piece)]
    assert taken == list(dict.fromkeys(name for piece in pieces for name in piece if name in found))
    assert reading.left == set(found) - set(taken)
    reading.finish()
    lost = reader(manifest, found | {"x@1": None})
    for piece in pieces:
        assert "x@1" not in lost.take(piece)
    with pytest.raises(HotStoreError, match=r"holds 2 of 3 .*without a vector: x@1\. Do this\."):
        lost.finish()


def test_of_an_unread_generation_no_piece_is_kept(monkeypatch):
    monkeypatch.setattr(generation_reader, "PIECE_ENTITIES", 2)
    manifest, found = generation()
    asked = []
    GenerationReader(
        manifest, found, lambda names: asked.append(len(names)) or map(found.get, names), remedy=""
    ).finish()
    assert asked == [2, 1]


@pytest.mark.parametrize("unsound", ["damaged", "foreign"])
def test_an_unsound_vector_is_not_handed_out(unsound):
    manifest, found = generation()
    reading = reader(manifest, found | {"y@1": OTHER[:-1] + b"!" if unsound == "damaged" else YESTERDAY})
    assert list(reading.take(found)) == ["x@1", "z@1"]


OTHER = pack(np.array([[1.0, 2.0, np.nan]]), business_date=DAY, fields=FIELDS)[0]
YESTERDAY = generation(day=date(2025, 6, 29))[1]["y@1"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y@1": None}, r"holds 2 of 3 vectors.*without a vector: y@1\."),
        ({"y@1": None, "x@1": None}, r"holds 1 of 3 vectors.*without a vector: x@1, y@1\."),
        ({"y@1": OTHER}, "holds 3 of 3 vectors, checksum"),
        ({"y@1": OTHER[:-1] + b"!"}, r"damaged: y@1\."),
        ({"y@1": b""}, r"damaged: y@1; of another business date, schema or format than that of 2025-06-30: y@1\."),
        ({"y@1": YESTERDAY}, r"of another business date, .* than that of 2025-06-30: y@1\."),
        ({"w@1": OTHER}, "holds 4 of 3 vectors"),
        ({"w@1": None}, "holds 3 of 3 vectors.*without a vector: w@1"),
    ],
)
def test_a_manifest_is_met_by_nothing_less_and_names_what_is_wrong(changes, message):
    manifest, found = generation()
    with pytest.raises(HotStoreError, match=message + ".* Do this."):
        reader(manifest, found | changes).finish()


def test_a_manifest_is_not_met_by_fewer_entities():
    manifest, found = generation()
    found.pop("y@1")
    with pytest.raises(HotStoreError, match="holds 2 of 3 vectors"):
        reader(manifest, found).finish()


def test_the_vectors_of_another_date_do_not_pass_though_their_sum_fits():
    """The control of the date: count and checksum alone would let them through."""
    manifest, _ = generation()
    other, found = generation(day=date(2025, 6, 29))
    mixed = Manifest.from_json(other.to_json().replace("2025-06-29", "2025-06-30"))
    assert (mixed.count, mixed.checksum, mixed.business_date) == (3, other.checksum, manifest.business_date)
    with pytest.raises(HotStoreError, match=r"than that of 2025-06-30: x@1, y@1, z@1\."):
        reader(mixed, found).finish()


def test_at_most_ten_missing_entities_are_named():
    manifest, _ = generation()
    with pytest.raises(HotStoreError, match=r"vector: e00, e01, .*e09 and 15 more\."):
        reader(manifest, {f"e{number:02d}": None for number in range(25)}).finish()


def test_another_content_never_has_the_same_generation():
    same, other = generation()[0], generation(rows=ROWS + 1)[0]
    assert same.generation == generation()[0].generation
    assert same.generation != other.generation


@pytest.mark.parametrize("served", [None, "20250629-aaaaaaaa", "20250630-aaaaaaaa", "20241231-ffffffff"])
def test_a_newer_date_and_a_restatement_of_the_same_may_be_served(served):
    refuse_older(served, business_date=DAY, model="demand")


@pytest.mark.parametrize("served", ["20250701-aaaaaaaa", "20260101-00000000"])
def test_an_older_date_does_not_take_the_place_of_a_newer_one(served):
    with pytest.raises(NothingToDo, match=r"serves demand of 202\d-.*newer than 2025-06-30.*fs:current:\{demand\}"):
        refuse_older(served, business_date=DAY, model="demand")


@given(st.dates(date(2000, 1, 1)), st.dates(date(2000, 1, 1)))
def test_what_is_refused_is_decided_by_the_dates_alone(served, wanted):
    name = generation_name(served, "any run")
    try:
        refuse_older(name, business_date=wanted, model="demand")
        assert served <= wanted
    except NothingToDo:
        assert served > wanted


@pytest.mark.parametrize("served", ["", "g1", "2025-06-30", "nothing-at-all"])
def test_a_pointer_that_holds_no_generation_is_said(served):
    with pytest.raises(HotStoreError, match=r"no generation's name.*Delete the key"):
        refuse_older(served, business_date=DAY, model="demand")
