"""LightGBM as Shelfcast fits it: from assembled rows to native model text, the same text for the same rows.

Two things are done in another way than LightGBM itself does them:

*Bins* are cut of given rows, so that machines with different rows cut the same ones. LightGBM's own way, a dataset of those
rows that the others are made by reference to, gives the same bins. But it cuts all of them for nothing, and keeps columns
that are mostly zero in a form that a fit takes an eighth longer with.

*Gaps* are learned from: whatever serving may not know of a row is absent in a small share of the rows. LightGBM reads an
absent number as 0 where a feature was never absent in training: an item without a known price would be forecast as one
that is given away. With gaps, each split learns which way the absent go. See
`docs/decisions/0011-absent-means-the-same-in-training-and-serving.md`.
"""

import re
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from shelfcast.errors import TrainingError
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.model.features import LARGEST_NUMBER, Floats, ModelRows
from shelfcast.model.matrix import PIECE_ROWS, Sample

SMALLEST_NUMBER = 1e-35
"""What is nearer to zero LightGBM takes for zero, and does not look at when it cuts bins."""

GAP_SHARE = 0.01
"""Of the rows, by feature, that are learned as if it were absent."""

UNKNOWN = -1e30
DROPPED_BITS = 10
"""Of the 23 after the point of a number in single precision."""

MACHINES = frozenset({"machines", "num_machines", "local_listen_port", "time_out", "tree_learner"})
"""LightGBM's parameters that connect machines."""

_TOPOLOGY = re.compile(
    r"^\[(machines|local_listen_port|num_machines|machine_list_filename|time_out|num_threads): .*\]\n", re.MULTILINE
)


def parameters(declaration: ModelDeclaration, *, seed: int, num_threads: int) -> dict[str, Any]:
    """LightGBM's parameters; deterministic for a seed, a number of threads and a layout of machines."""
    return {
        **declaration.fit.model_dump(exclude={"num_boost_round", "dispersion"}, exclude_none=True),
        "seed": seed,
        "num_threads": num_threads,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }


def train(
    sample: Sample, declaration: ModelDeclaration, *, settings: dict[str, Any], reference: Sample | None = None
) -> str:
    """Fits one model; answers its native text, free of anything that depends on where it was fitted.

    Args:
        sample: This machine's rows.
        declaration: The model.
        settings: `parameters`, with the machines' addresses if there are several.
        reference: Rows that bin boundaries and the smallest leaf are taken from, the same on every machine: see
            `Sample.reference`, which is taken if `None`. Machines that each cut bins of their own rows would add up
            histograms of different bins.

    Raises:
        TrainingError: Nothing was sold on any of the days, or a number of what was sold is none.
    """
    endless = int((~(np.abs(sample.target) <= LARGEST_NUMBER)).sum())
    if endless:
        raise TrainingError(
            f"{declaration.target} of {endless} of {len(sample.target)} rows that {declaration.name} would learn from is no "
            "finite number in single precision: everything that it forecasts would follow them. Look for the rows in the "
            "frame, mend them in the shop, and train again."
        )
    if declaration.kind == "forecast" and not (sample.target > 0).any() and not MACHINES & settings.keys():
        raise TrainingError(
            f"Nothing was sold on the {len(sample.target)} days that {declaration.name} would learn from. Give it a longer "
            "history, or series that sell."
        )
    reference = reference or sample.reference()
    settings = {**settings, **smallest_leaf(reference, declaration)}
    data = dataset(sample, declaration, settings=settings, reference=reference)
    data.set_init_score(_offset(sample, declaration)).set_weight(weight(sample, declaration))
    booster = lightgbm.train(settings, data, num_boost_round=declaration.fit.num_boost_round)
    text = native_text(booster)
    booster.free_network()
    return text


def dataset(
    sample: Sample, declaration: ModelDeclaration, *, settings: dict[str, Any], reference: Sample | None = None
) -> Any:
    """LightGBM's dataset of the rows as every model learns them, with gaps; of the arguments of `train`."""

    def seen_as(rows: ModelRows) -> ModelRows:
        return with_gaps(rows, declaration, seed=settings["seed"])

    shared = (reference or sample.reference()).rows
    # for this row each feature that may be absent has a bin for that, however few the rows are
    absent = np.where(may_be_absent(declaration), np.nan, shared[:1])
    # built before the machines are connected, or each would cut the bins of a part of the columns by its own rows
    own = {name: value for name, value in settings.items() if name not in MACHINES}
    of = np.vstack([seen_as(shared), absent])
    data = SharedBins(sample.rows, of=of, params=own, seen_as=seen_as).set_label(sample.target)
    return data.set_feature_name(list(declaration.feature_names))


def native_text(booster: Any) -> str:
    """LightGBM's text of a model, free of anything that depends on where it was fitted."""
    return _TOPOLOGY.sub("", booster.model_to_string())


def smallest_leaf(sample: Sample, declaration: ModelDeclaration) -> dict[str, float]:
    """`min_data_in_leaf` as a sum of hessians, that of so many average rows.

    LightGBM estimates the rows of a split from its hessians, in another way on several machines than on one; sums of
    hessians are the same on both. For counts they are the better measure too: what is known of a mean grows with the
    units that were sold, not with the rows. Where the mean is right a row's expected hessian is the mean to the power of 2
    less the variance power (1 of Poisson), times its weight. (LightGBM doubles Poisson's, for smaller steps: a leaf has
    half of these rows at the least.)
    """
    weights, power = weight(sample, declaration), 2 - (declaration.fit.tweedie_variance_power or 1.0)
    of_a_row = 1.0 if weights is None else float((sample.expected**power * weights).mean())
    return {"min_data_in_leaf": 1, "min_sum_hessian_in_leaf": declaration.fit.min_data_in_leaf * of_a_row}


def weight(sample: Sample, declaration: ModelDeclaration) -> Floats | None:
    """What a row counts for, above 0 to 1, length n: Poisson's variance over its own (see `Fit.dispersion`).

    Both are taken at the mean that is usual for the row, not at its forecast. So the rows of a leaf have but one weight
    where they are alike, and what is forecast of them adds up to what they sold; with weights that follow the forecast
    (Tweedie's, and any but Poisson's with a logarithmic link) it does not, and rare items are forecast too low
    (Wüthrich, 2020, on the balance property). `None` of a regression.
    """
    return 1 / (1 + declaration.fit.dispersion * sample.expected) if declaration.kind == "forecast" else None


class SharedBins(lightgbm.Dataset):
    """A dataset of rows that are cut into bins as the rows of `of` would be.

    Args:
        rows: This machine's rows, shape (n, features).
        of: Rows that every machine has, shape (m, features).
        params: LightGBM's, as for any dataset.
        seen_as: What each piece of rows is turned into before it is cut.
    """

    def __init__(
        self,
        rows: ModelRows,
        *,
        of: ModelRows,
        params: dict[str, Any],
        seen_as: Callable[[ModelRows], ModelRows] = np.ascontiguousarray,
    ) -> None:
        super().__init__(None, params=params)
        seen = [np.flatnonzero(~(np.abs(column) <= SMALLEST_NUMBER)).astype(np.int32) for column in of.T]
        numbers = [column[places].astype(np.float64, copy=False) for column, places in zip(of.T, seen, strict=True)]
        self._init_from_sample(numbers, seen, len(of), len(rows))
        for start in range(0, len(rows), PIECE_ROWS):
            self._push_rows(np.ascontiguousarray(seen_as(rows[start : start + PIECE_ROWS])))


def with_gaps(rows: ModelRows, declaration: ModelDeclaration, *, seed: int) -> ModelRows:
    """The rows, in each of which some features are absent.

    Which ones depends on the row itself and the seed alone: not on the rows around it, nor on the machine that holds it.

    Args:
        rows: Shape (n, features).
        declaration: The model.
        seed: Of the fit.
    """
    of_row, of_feature = np.random.default_rng(seed).integers(2**63, size=(2, rows.shape[1]), dtype=np.uint64) * 2 + 1
    content = _mixed((_coarse(rows) * of_row).sum(axis=1))
    is_gap = content[:, None] * of_feature < np.uint64(GAP_SHARE * 2**64)
    return np.where(is_gap & may_be_absent(declaration), rows.dtype.type(np.nan), rows)


def may_be_absent(declaration: ModelDeclaration) -> npt.NDArray[np.bool_]:
    """Of each model feature, whether serving may not know it: all but what comes from the request and the calendar."""
    return np.array([not feature.is_always_known for feature in declaration.features])


def _coarse(rows: ModelRows) -> npt.NDArray[np.uint64]:
    """The rows with four digits: sums that were made in another order differ in their last bits and are the same rows."""
    single = np.where(np.isnan(rows), UNKNOWN, rows).astype(np.float32) + np.float32(0)  # and -0 is 0
    bits = single.view(np.uint32).astype(np.uint64)
    return np.asarray((bits + np.uint64(1 << (DROPPED_BITS - 1))) >> np.uint64(DROPPED_BITS))


def _mixed(content: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Numbers any bit of which changes half of the bits: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    content = (content ^ (content >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    content = (content ^ (content >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return content ^ (content >> np.uint64(31))


def _offset(sample: Sample, declaration: ModelDeclaration) -> Floats | None:
    return np.log(sample.expected) if declaration.kind == "forecast" else None
