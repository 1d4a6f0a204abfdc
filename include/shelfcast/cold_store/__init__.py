"""The warehouse: statements, features, partitions."""
