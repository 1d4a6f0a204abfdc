"""The forecaster's process: connects the hot store to `shelfcast.serving`."""
