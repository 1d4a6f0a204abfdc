"""Candidates in MLflow and Weights & Biases, and the gate, as hooks and operators."""
