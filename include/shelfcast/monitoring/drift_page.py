"""The drift check as a page to look at: Evidently's report on the same samples and the same test."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from shelfcast import storage
from shelfcast.monitoring.drift import FEWEST_WINDOWS, DriftRules, Sample
from shelfcast.monitoring.drift_inputs import DriftSamples
from shelfcast.storage import Location


def write_page(samples: DriftSamples, folder: Location, *, rules: DriftRules) -> Location | None:
    """Writes `<folder>/<business date>.html`, whole or not at all.

    Quantities that cannot be compared (missing, or the same value everywhere) are left out, as the check does. The
    page shows each quantity on its own; whether it is drift is the check's word, which knows the floors as well.

    Args:
        samples: What was checked; the page compares with the recent weeks, or with last year if those are too few.
        folder: Made if it is missing.
        rules: Of the check.

    Returns:
        The page; `None` if nothing can be compared yet.
    """
    pooled = [_pooled(windows) for windows in samples.references.values() if len(windows) >= FEWEST_WINDOWS]
    reference = next((other for other in pooled if _comparable(samples.newest, other)), None)
    if reference is None:
        return None
    columns = _comparable(samples.newest, reference)
    path = folder / f"{samples.business_date}.html"
    with TemporaryDirectory() as made:
        page = Path(made) / path.name
        _evidently(_frame(samples.newest, columns), _frame(reference, columns), page, rules)
        storage.write(path, page.read_bytes())
    return path


def _evidently(newest: pd.DataFrame, reference: pd.DataFrame, path: Path, rules: DriftRules) -> None:
    from evidently import Report
    from evidently.presets import DataDriftPreset

    preset = DataDriftPreset(columns=list(newest.columns), num_method="ks", num_threshold=rules.false_discovery_rate)
    Report([preset]).run(newest, reference).save_html(str(path))


def _pooled(windows: Sequence[Sample]) -> Sample:
    return {name: np.concatenate([window[name] for window in windows]) for name in windows[0]}


def _comparable(newest: Sample, reference: Sample) -> list[str]:
    return [name for name in newest if _varies(newest[name], reference[name])]


def _varies(*values: np.ndarray) -> bool:
    known = [sample[np.isfinite(sample)] for sample in values]
    return all(len(sample) for sample in known) and len(np.unique(np.concatenate(known))) > 1


def _frame(sample: Sample, columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame({name: sample[name] for name in columns})
