"""Real servers and releases for the tests of the operators."""

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
