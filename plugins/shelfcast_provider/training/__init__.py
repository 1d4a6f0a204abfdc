"""Frames, MLflow runs and candidates, as hooks and operators."""
