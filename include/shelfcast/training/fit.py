"""LightGBM as Shelfcast fits it: from assembled rows to native model text, the same text for the same rows."""

import os
import re
from typing import Any

import numpy as np

from shelfcast.errors import TrainingError
from shelfcast.training.declaration import ModelDeclaration
from shelfcast.training.gaps import may_be_absent, with_gaps
from shelfcast.training.rows import LARGEST_NUMBER, Floats, model_features
from shelfcast.training.sample import Sample

# LightGBM's threads wait for each other thousands of times a second. To sleep each time (OMP_WAIT_POLICY=PASSIVE) takes
# longer than the wait, to spin until the other is there (the default) never ends where more wants to run than there are
# cores; GNU's OpenMP reads this when it is loaded, with LightGBM
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

MODEL = "model.txt"
"""Name of the file that a model's native text is kept in."""

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
    import lightgbm

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
    """LightGBM's dataset of the rows as every model learns them, with gaps (see `gaps`); of the arguments of `train`."""
    from shelfcast.training.bins import SharedBins

    def seen_as(rows: Floats) -> Floats:
        return with_gaps(rows, declaration, seed=settings["seed"])

    shared = (reference or sample.reference()).rows
    # for this row each feature that may be absent has a bin for that, however few the rows are
    absent = np.where(may_be_absent(declaration), np.nan, shared[:1])
    # built before the machines are connected, or each would cut the bins of a part of the columns by its own rows
    own = {name: value for name, value in settings.items() if name not in MACHINES}
    of = np.vstack([seen_as(shared), absent])
    data = SharedBins(sample.rows, of=of, params=own, seen_as=seen_as).set_label(sample.target)
    return data.set_feature_name(list(model_features(declaration)))


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


def predict(
    model_text: str, rows: Floats, expected: Floats, declaration: ModelDeclaration, num_threads: int = 1
) -> Floats:
    """Mean forecasts, never negative, of length n for rows of shape (n, features)."""
    import lightgbm

    booster = lightgbm.Booster(model_str=model_text)
    raw = booster.predict(rows, raw_score=True, num_threads=num_threads)
    return from_raw(np.asarray(raw, dtype=float), expected, declaration)


def feature_names(model_text: str) -> tuple[str, ...]:
    """Names of the columns that a model was fitted on, in order; none if the text does not say."""
    named = re.search(r"^feature_names=(.*)$", model_text, flags=re.MULTILINE)
    return tuple(named[1].split()) if named else ()


def from_raw(raw: Floats, expected: Floats, declaration: ModelDeclaration) -> Floats:
    """What the booster's raw score means: a factor of the baseline in logarithms, or the value itself."""
    if declaration.kind == "forecast":
        return np.asarray(np.exp(raw) * expected)
    return np.maximum(raw, 0.0)


def _offset(sample: Sample, declaration: ModelDeclaration) -> Floats | None:
    return np.log(sample.expected) if declaration.kind == "forecast" else None
