"""Training songs at other pitches and tempos, as further recordings beside the originals."""
