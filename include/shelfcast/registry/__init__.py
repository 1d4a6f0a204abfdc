"""The gate: whether a candidate becomes the champion."""
