"""Two evaluations of the same tracks: whether B is worse than A, stem by stem, and on which tracks."""
