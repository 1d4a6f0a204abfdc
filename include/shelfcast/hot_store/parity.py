"""Whether the hot store holds what the cold one does."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

import numpy as np

from shelfcast.errors import OFFENDERS_SHOWN, PostConditionFailed, first_offenders
from shelfcast.hot_store.generation_reader import GenerationReader
from shelfcast.hot_store.partition import Partition
from shelfcast.hot_store.vector import unpack


def check_parity(
    cold: Iterable[Partition], hot: GenerationReader, *, fields: Sequence[str], business_date: date, model: str
) -> int:
    """Compares every number of every vector, piece by piece; returns how many vectors were compared.

    Raises:
        HotStoreError: The generation is not what its manifest was made for.
        PostConditionFailed: Names entities that one side lacks, or entity, field and both values where they differ.
    """
    compared = differing = 0
    missing: list[str] = []
    shown: list[str] = []
    for piece in cold:
        found = hot.take(piece.entities)
        missing += [name for name in piece.entities if name not in found]
        for difference in _differences(piece, found, fields, business_date):
            differing += 1
            shown += [difference] if differing <= OFFENDERS_SHOWN else []
        compared += len(piece.entities)
    extra = sorted(hot.left)
    hot.finish()
    if missing or extra:
        raise PostConditionFailed(
            f"The hot store of {model} lacks {len(missing)} entities ({first_offenders(missing)}) and holds {len(extra)} "
            f"that the cold store has not ({first_offenders(extra)}). Clear the whole run of feature_cache_refresh."
        )
    if differing:
        raise PostConditionFailed(
            f"{differing} values of {model} differ between hot and cold store: {first_offenders(shown, total=differing)}. "
            "Clear the whole run of feature_cache_refresh."
        )
    return compared


def _differences(
    cold: Partition, hot: Mapping[str, bytes], fields: Sequence[str], business_date: date
) -> Iterator[str]:
    for entity, numbers in zip(cold.entities, cold.numbers, strict=True):
        if entity not in hot:
            continue
        found = unpack(hot[entity], fields=fields)
        if found.business_date != business_date:
            yield f"{entity} is of {found.business_date}, not {business_date}"
        for position in np.flatnonzero((found.numbers != numbers) & ~(np.isnan(found.numbers) & np.isnan(numbers))):
            yield f"{entity}.{fields[int(position)]}: hot {found.numbers[position]}, cold {numbers[position]}"
