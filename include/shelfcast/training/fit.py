"""LightGBM as Shelfcast fits it: from assembled rows to native model text, the same text for the same rows."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shelfcast.training.declaration import ModelDeclaration
from shelfcast.training.rows import Columns, Floats, assemble, baseline, model_features

_TOPOLOGY = re.compile(
    r"^\[(machines|local_listen_port|num_machines|machine_list_filename|time_out|num_threads): .*\]\n", re.MULTILINE
)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Rows to learn from.

    Attributes:
        rows: Shape (n, features).
        target: Length n; not negative for a forecast.
        expected: The baseline, length n, above 0.
    """

    rows: Floats
    target: Floats
    expected: Floats

    @classmethod
    def of(cls, columns: Columns, declaration: ModelDeclaration) -> "Sample":
        """Assembles the rows of a training frame."""
        target = columns[declaration.target].astype(float)
        return cls(
            rows=assemble(columns, declaration),
            target=np.maximum(target, 0) if declaration.kind == "forecast" else target,
            expected=baseline(columns, declaration),
        )

    def part(self, chosen: npt.NDArray[np.generic] | slice) -> "Sample":
        """The chosen rows."""
        return Sample(rows=self.rows[chosen], target=self.target[chosen], expected=self.expected[chosen])


def parameters(declaration: ModelDeclaration, *, seed: int, num_threads: int) -> dict[str, Any]:
    """LightGBM's parameters; deterministic for a seed, a number of threads and a layout of machines."""
    return {
        **declaration.fit.model_dump(exclude={"num_boost_round"}),
        "seed": seed,
        "num_threads": num_threads,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }


def train(sample: Sample, declaration: ModelDeclaration, *, settings: dict[str, Any]) -> str:
    """Fits one model; answers its native text, free of anything that depends on where it was fitted.

    Args:
        sample: This machine's rows.
        declaration: The model.
        settings: `parameters`, with the machines' addresses if there are several.
    """
    import lightgbm

    data = lightgbm.Dataset(
        sample.rows,
        label=sample.target,
        init_score=_offset(sample, declaration),
        feature_name=list(model_features(declaration)),
        params=settings,
        free_raw_data=True,
    )
    booster = lightgbm.train(settings, data, num_boost_round=declaration.fit.num_boost_round)
    text = _TOPOLOGY.sub("", booster.model_to_string())
    booster.free_network()
    return text


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
