"""Two-sample tests for many features at once: Kolmogorov-Smirnov, then Benjamini and Hochberg."""

import numpy as np
import numpy.typing as npt
from scipy.stats import kstwo

Floats = npt.NDArray[np.float64]


def ks_distance(sample: Floats, reference: Floats) -> float:
    """Largest gap between two empirical distribution functions, 0 to 1.

    Args:
        sample: At least one finite value, in any order.
        reference: At least one finite value, in any order.
    """
    ordered, other = np.sort(sample), np.sort(reference)
    # ties step at once, so the gap is taken after each distinct value, not within it
    places = np.concatenate([ordered, other])
    own = np.searchsorted(ordered, places, side="right") / len(ordered)
    others = np.searchsorted(other, places, side="right") / len(other)
    return float(np.max(np.abs(own - others)))


def ks_p_value(distance: float, rows: int, reference_rows: int) -> float:
    """Chance of a gap at least as large when both samples come from one distribution, 0 to 1.

    The two-sample statistic has, for large samples, the one-sample distribution at the effective size
    n·m / (n + m) (Simard and L'Ecuyer, 2011; SciPy's `ks_2samp(method="asymp")`). Ties make it too large, never
    too small.

    Args:
        distance: From `ks_distance`.
        rows: Length of one sample, 1 or more.
        reference_rows: Length of the other one, 1 or more.
    """
    effective = rows * reference_rows / (rows + reference_rows)
    return float(np.clip(kstwo.sf(distance, max(round(effective), 1)), 0.0, 1.0))


def adjusted_p_values(p_values: Floats) -> Floats:
    """Benjamini and Hochberg's (1995) q-values, each the least false discovery rate at which its test is rejected.

    Args:
        p_values: Shape (tests,), each 0 to 1; may be empty.

    Returns:
        Shape (tests,), each 0 to 1 and not below its p-value.
    """
    count = len(p_values)
    descending = np.argsort(p_values)[::-1]
    scaled = p_values[descending] * count / np.arange(count, 0, -1)
    adjusted = np.empty(count)
    adjusted[descending] = np.minimum(np.minimum.accumulate(scaled), 1.0) if count else scaled
    return adjusted
