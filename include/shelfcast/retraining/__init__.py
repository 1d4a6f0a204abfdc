"""The governor: one decision with a reason."""
