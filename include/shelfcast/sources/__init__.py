"""The shop: its schema, its data declared by a user."""
