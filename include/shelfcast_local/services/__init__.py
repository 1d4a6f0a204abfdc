"""What stands in for the platform: a process each, and what starts, finds and asks them."""
