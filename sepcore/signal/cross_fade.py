"""Segments that overlap: how far they move on, and how their frames fade into each other."""

import numpy as np
from numpy.typing import NDArray


def overlapping_advance(segment_frames: int, overlap: float) -> int:
    """Frames from a segment to the next if they overlap by a part of their length, 0 < ``overlap`` < 1; at least 1."""
    return max(round(segment_frames * (1 - overlap)), 1)


def cross_fade(segment_frames: int, advance_frames: int) -> NDArray[np.float32]:
    """Weights of a segment's frames which, over all segments that a frame lies in, add up to 1.

    Where two segments overlap one fades linearly into the other; where more do, those count most in whose middle a
    frame lies, since the network sees most around it there.

    Args:
        segment_frames: Frames of a segment.
        advance_frames: From the start of a segment to that of the next, 1 to ``segment_frames``.

    Returns:
        float32 ``(segment_frames,)``, > 0.
    """
    edge = np.minimum(np.arange(segment_frames), np.arange(segment_frames)[::-1]) + 0.5
    weights = np.minimum(edge, max(segment_frames - advance_frames, 1))
    total = [weights[first::advance_frames].sum() for first in range(advance_frames)]
    scaled: NDArray[np.float32] = (weights / np.resize(total, segment_frames)).astype(np.float32)
    return scaled
