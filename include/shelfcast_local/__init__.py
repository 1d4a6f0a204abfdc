"""What stands in for the platform on a laptop, and the command line that starts it."""
