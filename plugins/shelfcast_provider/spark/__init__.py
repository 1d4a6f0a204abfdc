"""Where a Spark job runs, and the operator that runs it there."""
