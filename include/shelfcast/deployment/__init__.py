"""Release bundles and the steps of a release."""
