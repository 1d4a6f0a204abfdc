"""The gate as an operator."""
