"""A folder of songs: which there are, what is done, and what becomes of each."""
