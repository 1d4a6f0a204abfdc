"""What is fast where it counts, measured beside a named peer (`make bench`)."""
