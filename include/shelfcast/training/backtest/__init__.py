"""What the model would have forecast at past cutoffs of somebody's files, without a server."""
