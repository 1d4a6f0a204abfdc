"""The governor and its trigger as operators."""
