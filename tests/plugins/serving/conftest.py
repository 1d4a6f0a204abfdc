"""Real servers and releases for the operators of serving."""

from served_world import (
    artifacts,
    cold_store,
    forecaster,
    hot_store,
    hot_store_server,
    order_value_parts,
    predictor,
    releases_folder,
    vectors,
)

__all__ = [
    "artifacts",
    "cold_store",
    "forecaster",
    "hot_store",
    "hot_store_server",
    "order_value_parts",
    "predictor",
    "releases_folder",
    "vectors",
]
