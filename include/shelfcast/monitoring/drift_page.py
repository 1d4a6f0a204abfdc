"""The drift check as a page to look at: Evidently's report on the samples and with the numbers of the check itself."""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from shelfcast import storage
from shelfcast.monitoring.drift import DriftReport, DriftRules, FeatureDrift, FeatureState
from shelfcast.monitoring.drift_inputs import DriftSamples
from shelfcast.storage import Location


def write_page(samples: DriftSamples, report: DriftReport, folder: Location, *, rules: DriftRules) -> Location | None:
    """Writes `<folder>/<business date>.html`, whole or not at all.

    Each quantity is shown beside the reference that it was judged by, with the check's q-value, its other measures and its
    verdict. What was not tested (missing, or the same value everywhere) is left out.

    Args:
        samples: What was checked.
        report: What the check found.
        folder: Made if it is missing.
        rules: Of the check.

    Returns:
        The page; `None` if nothing could be tested yet.
    """
    tested = [feature for feature in report.features if isfinite(feature.q_value)]
    if not tested:
        return None
    path = folder / f"{samples.business_date}.html"
    newest = pd.DataFrame({feature.feature: samples.newest[feature.feature] for feature in tested})
    with TemporaryDirectory() as made:
        page = Path(made) / path.name
        _evidently(newest, _references(samples, tested), tested, rules).save_html(str(page))
        storage.write(path, page.read_bytes())
    return path


def _references(samples: DriftSamples, tested: Sequence[FeatureDrift]) -> pd.DataFrame:
    """Of each quantity the windows that it was compared with, one below the other; columns differ in length."""
    columns = {
        feature.feature: np.concatenate(
            [window[feature.feature] for window in samples.references[str(feature.reference)]]
        )
        for feature in tested
    }
    return pd.DataFrame({name: pd.Series(values) for name, values in columns.items()})


def _evidently(newest: pd.DataFrame, reference: pd.DataFrame, tested: Sequence[FeatureDrift], rules: DriftRules) -> Any:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    names = [feature.feature for feature in tested]
    preset = DataDriftPreset(
        columns=names,
        per_column_method={feature.feature: _verdict(feature) for feature in tested},
        num_threshold=rules.false_discovery_rate,
    )
    quantities = DataDefinition(numerical_columns=names)
    return Report([preset]).run(
        *(Dataset.from_pandas(rows, data_definition=quantities) for rows in (newest, reference))
    )


def _verdict(feature: FeatureDrift) -> Any:
    """A test of Evidently's that answers what the check has found, under a name that says what else the verdict rests on."""
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    made = StatTest(
        name=f"shelfcast_{feature.feature}",
        display_name=f"q-value of K-S against {str(feature.reference).replace('_', ' ')} (distance {feature.distance:.2f}, "
        f"shift {feature.shift:+.2f}, departure {feature.departure:+.1f})",
        allowed_feature_types=[ColumnType.Numerical],
    )
    register_stattest(made, lambda *_: (feature.q_value, feature.state is FeatureState.DRIFTED))
    return made
