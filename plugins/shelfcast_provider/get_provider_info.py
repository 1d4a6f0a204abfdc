"""What Airflow asks of a provider package; read from the entry point, so it imports nothing heavy."""

from typing import Any

from shelfcast_provider.connection_types import connection_types


def get_provider_info() -> dict[str, Any]:
    """Describes the provider: connection types and extra links, each by import path."""
    return {
        "package-name": "shelfcast",
        "name": "Shelfcast",
        "description": "Change capture, features, training, release and watching of demand forecasts.",
        "connection-types": connection_types(),
        "extra-links": [
            "shelfcast_provider.links.MLflowRunLink",
            "shelfcast_provider.links.ModelCardLink",
            "shelfcast_provider.links.GateDecisionLink",
            "shelfcast_provider.links.DriftReportLink",
            "shelfcast_provider.retraining.retraining_trigger_operator.RetrainingLink",
        ],
    }
