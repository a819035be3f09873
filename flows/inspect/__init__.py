"""A picture of one cached chunk: its spectrograms beside those that the recordings give now."""
