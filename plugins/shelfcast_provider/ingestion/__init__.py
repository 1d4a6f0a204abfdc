"""Change capture, landing and load, as hooks and operators."""
