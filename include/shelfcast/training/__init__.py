"""Frames, folds, baselines, metrics, fits."""
