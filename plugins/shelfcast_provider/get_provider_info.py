"""What Airflow asks of a provider package; read from the entry point, so it imports nothing else."""

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Describes the provider: connection types and extra links, each by import path."""
    return {
        "package-name": "shelfcast",
        "name": "Shelfcast",
        "description": "Change capture, features, training, release and watching of demand forecasts.",
        "connection-types": [
            {
                "connection-type": "shelfcast_debezium",
                "hook-class-name": "shelfcast_provider.ingestion.debezium_hook.DebeziumHook",
            },
            {
                "connection-type": "shelfcast_mlflow",
                "hook-class-name": "shelfcast_provider.training.mlflow_hook.MLflowHook",
            },
            {
                "connection-type": "shelfcast_wandb",
                "hook-class-name": "shelfcast_provider.training.wandb_hook.WandbHook",
            },
            {
                "connection-type": "shelfcast_forecaster",
                "hook-class-name": "shelfcast_provider.serving.forecaster_hook.ForecasterHook",
            },
        ],
        "extra-links": [
            "shelfcast_provider.links.MLflowRunLink",
            "shelfcast_provider.links.ModelCardLink",
            "shelfcast_provider.links.GateDecisionLink",
            "shelfcast_provider.links.DriftReportLink",
            "shelfcast_provider.retraining.retraining_trigger_operator.RetrainingLink",
        ],
    }
