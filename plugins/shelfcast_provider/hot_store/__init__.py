"""The hot store's hook and its operators."""
