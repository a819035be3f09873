"""The real Spleeter as an oracle: in an environment of its own (``make peers``), run as a separate process."""
