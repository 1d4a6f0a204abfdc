"""The forecaster's hook and the batch forecast."""
