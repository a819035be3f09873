"""Audio in and out, spectrograms, masks and filters."""
