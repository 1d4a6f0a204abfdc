"""The steps of a release as operators."""
