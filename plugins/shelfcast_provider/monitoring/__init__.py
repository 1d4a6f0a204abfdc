"""Drift check and realised error as operators."""
