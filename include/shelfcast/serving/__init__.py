"""Forecasts: from a vector to quantiles, online and in batch."""
