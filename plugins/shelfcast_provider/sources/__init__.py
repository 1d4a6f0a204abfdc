"""Watching the shop."""
