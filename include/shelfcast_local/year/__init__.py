"""A year of Mondays: whether the loop keeps a model fresh, lived through week by week on a small simulated shop."""
