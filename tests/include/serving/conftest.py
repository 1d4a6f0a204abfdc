"""The releases and vectors that all tests of serving share."""

from served_world import order_value_parts, predictor, releases_folder, vectors

__all__ = ["order_value_parts", "predictor", "releases_folder", "vectors"]
