"""What users choose by name, and within which limits. Imports nothing slow, so that command lines can name it."""

from typing import Literal

Codec = Literal["wav", "flac", "mp3", "ogg", "opus", "m4a", "wma", "stem.mp4"]
"""How stems are written; ``stem.mp4`` is one file with the mixture and all stems as streams."""

Bits = Literal[16, 24, 32]
"""Of wav (32: float) and flac (16 or 24)."""

Clipping = Literal["rescale", "clamp", "none"]
"""What becomes of samples beyond full scale."""

EngineName = Literal["auto", "openvino", "tensorflow"]
"""What runs the network; ``auto`` is the fastest on this machine."""

NumChunks = int | Literal["all"]
"""How many chunks of a song are cached, at least 1; ``all`` cover it."""

Precision = Literal["float32", "bfloat16", "auto"]
"""What the network computes in."""

MAX_OVERLAP = 0.9
"""Fraction of a segment by which neighbors overlap at most."""

MAX_SHIFTS = 64
"""How often a song is separated at most."""
