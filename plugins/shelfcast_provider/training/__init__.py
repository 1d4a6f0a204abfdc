"""Frozen frames, as an operator."""
