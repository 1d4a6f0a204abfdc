"""Drift of the inputs and realised error."""
