"""The cold store's hook and the feature operator."""
