"""The forecasting method: what training, registry, deployment and serving share. Imports nothing else of ours but errors."""
