"""All assets in the order of the loop.

The daily ones are partitioned by business date: their events carry it as partition key. Candidates and releases
are not: a retraining belongs to a cause, not to a date.
"""

from airflow.sdk import Asset

GROUP = "shelfcast"


def _asset(name: str) -> Asset:
    """Without a URI of its own: to look for who normalises its scheme, Airflow would import boto in every task."""
    return Asset(name=name, group=GROUP)


SALES_CHANGES = _asset("sales_changes")
DEMAND_FEATURES = _asset("demand_features")
DEMAND_FEATURE_CACHE = _asset("demand_feature_cache")
DEMAND_FORECASTS = _asset("demand_forecasts")
DRIFT_REPORT = _asset("drift_report")


def candidate(model: str) -> Asset:
    """The newest trained candidate of a model."""
    return _asset(f"{model}_candidate")


def release(model: str) -> Asset:
    """The release of a model that serves."""
    return _asset(f"{model}_release")
