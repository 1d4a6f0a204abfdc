"""Reads a generation piece by piece, and holds the whole of it against its manifest in the end."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date

from shelfcast.errors import HotStoreError, first_offenders
from shelfcast.hot_store.generation import CHECKSUMS, PIECE_ENTITIES, Manifest, checksum
from shelfcast.hot_store.vector import identity, is_intact

ValuesOf = Callable[[Sequence[str]], Iterable[bytes | None]]


class GenerationReader:
    """The vectors of a generation for whoever asks for some of them at a time; of the others it holds the names only.

    What was taken is not to be acted upon before `finish` has found the generation whole.

    Args:
        manifest: What the generation must hold.
        members: Entities that the generation lists.
        values_of: Reads the value of each of some entities, `None` where there is none.
        remedy: Last sentence of the error: what it means for readers and what to do.

    Attributes:
        left: Entities that nobody has taken yet.
    """

    def __init__(self, manifest: Manifest, members: Iterable[str], values_of: ValuesOf, *, remedy: str) -> None:
        self.left = set(members)
        self._manifest = manifest
        self._values_of = values_of
        self._remedy = remedy
        self._listed = len(self.left)
        self._found = self._sum = 0
        self._head = identity(schema=manifest.schema, business_date=date.fromisoformat(manifest.business_date))
        self._lost: list[str] = []
        self._damaged: list[str] = []
        self._foreign: list[str] = []

    def take(self, names: Iterable[str]) -> dict[str, bytes]:
        """Vectors of those entities that the generation lists and nobody has taken yet, without the unsound ones."""
        asked = [name for name in names if name in self.left]
        self.left.difference_update(asked)
        read = dict(zip(asked, self._values_of(asked), strict=True))
        found = {name: value for name, value in read.items() if value is not None}
        self._found += len(found)
        self._sum = (self._sum + checksum(found.values())) % CHECKSUMS
        unsound = self._unsound(found)
        self._lost += [name for name in asked if name not in found]
        return {name: value for name, value in found.items() if name not in unsound}

    def finish(self) -> None:
        """Reads what nobody has taken, and checks that the manifest was made for exactly what was read.

        Raises:
            HotStoreError: Names at most ten entities of each kind of fault.
        """
        rest = sorted(self.left)
        for start in range(0, len(rest), PIECE_ENTITIES):
            self.take(rest[start : start + PIECE_ENTITIES])
        manifest = self._manifest
        if self._found == manifest.count == self._listed and self._sum == manifest.checksum and not self._foreign:
            return
        faults = {
            "without a vector": sorted(self._lost),
            "damaged": self._damaged,
            f"of another business date, schema or format than that of {manifest.business_date}": self._foreign,
        }
        named = [f"{kind}: {first_offenders(names)}" for kind, names in faults.items() if names]
        raise HotStoreError(
            f"Generation {manifest.generation} of {manifest.model} holds {self._found} of {manifest.count} vectors, "
            f"checksum {self._sum} against {manifest.checksum}{''.join('; ' + each for each in named)}. {self._remedy}"
        )

    def _unsound(self, found: Mapping[str, bytes]) -> set[str]:
        damaged = [name for name, value in found.items() if not is_intact(value)]
        foreign = [name for name, value in found.items() if not value.startswith(self._head)]
        self._damaged += damaged
        self._foreign += foreign
        return {*damaged, *foreign}
