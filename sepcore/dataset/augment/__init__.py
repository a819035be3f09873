"""Variants of songs in pitch and tempo, made once as further recordings."""
