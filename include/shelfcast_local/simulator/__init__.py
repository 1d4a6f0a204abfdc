"""A retail simulator: a shop whose every row follows from a seed, true demand included. The data is synthetic."""
