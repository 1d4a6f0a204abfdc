"""Whether the hot store holds what the cold one does."""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np

from shelfcast.errors import PostConditionFailed, first_offenders
from shelfcast.hot_store.partition import Partition
from shelfcast.hot_store.vector import unpack


def check_parity(
    cold: Partition, hot: Mapping[str, bytes], *, fields: Sequence[str], business_date: date, model: str
) -> int:
    """Compares every number of every vector; answers how many vectors were compared.

    Raises:
        PostConditionFailed: Names entities that one side lacks, or entity, field and both values where they differ.
    """
    missing, extra = sorted(set(cold.entities) - set(hot)), sorted(set(hot) - set(cold.entities))
    if missing or extra:
        raise PostConditionFailed(
            f"The hot store of {model} lacks {len(missing)} entities ({first_offenders(missing)}) and holds {len(extra)} "
            f"that the cold store has not ({first_offenders(extra)}). Clear the whole run of feature_cache_refresh."
        )
    differing: list[str] = []
    for entity, numbers in zip(cold.entities, cold.numbers, strict=True):
        found = unpack(hot[entity], fields=fields)
        if found.business_date != business_date:
            differing.append(f"{entity} is of {found.business_date}, not {business_date}")
        for position in np.flatnonzero((found.numbers != numbers) & ~(np.isnan(found.numbers) & np.isnan(numbers))):
            differing.append(
                f"{entity}.{fields[int(position)]}: hot {found.numbers[position]}, cold {numbers[position]}"
            )
    if differing:
        raise PostConditionFailed(
            f"{len(differing)} values of {model} differ between hot and cold store: {first_offenders(differing)}. "
            "Clear the whole run of feature_cache_refresh."
        )
    return len(cold.entities)
