"""From multitrack recordings to batches of spectrograms."""
