"""The average of several separations of a waveform, each at another place on the grid of segments and frames."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import tee

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


def average_over_shifts(
    separate: Callable[[Iterable[Samples]], Iterator[Samples]], blocks: Iterable[Samples], shifts: list[int]
) -> Iterator[Samples]:
    """Separate a waveform once per shift, with that many zeros in front of it, and average the stems.

    Args:
        separate: Pieces of a waveform, float32 ``(samples, channels)``, to pieces of the stems,
            ``(stems, samples, channels)``, in all as many samples.
        blocks: Pieces of the waveform, kept in memory until the slowest separation has read them.
        shifts: In samples, each >= 0.

    References:
        A. Défossez et al., "Music source separation in the waveform domain", 2019, section 4.3 (there the shifts are
        random; here they are even, so that every run gives the same stems).
    """
    copies = tee(blocks, len(shifts))
    streams = [
        _without_front(separate(_shifted(copy, shift)), shift) for copy, shift in zip(copies, shifts, strict=True)
    ]
    waiting: list[deque[Samples]] = [deque() for _ in streams]
    while True:
        for pieces, stream in zip(waiting, streams, strict=True):
            while not pieces:
                piece = next(stream, None)
                if piece is None:
                    return
                if piece.shape[1]:
                    pieces.append(piece)
        length = min(pieces[0].shape[1] for pieces in waiting)
        total = np.zeros_like(waiting[0][0][:, :length])
        for pieces in waiting:
            first = pieces.popleft()
            total += first[:, :length]
            if first.shape[1] > length:
                pieces.appendleft(first[:, length:])
        yield total / np.float32(len(streams))


def _shifted(blocks: Iterable[Samples], shift: int) -> Iterator[Samples]:
    for number, block in enumerate(blocks):
        if not number and shift:
            yield np.zeros((shift, block.shape[1]), np.float32)
        yield block


def _without_front(stems: Iterator[Samples], front: int) -> Iterator[Samples]:
    for piece in stems:
        skip = min(front, piece.shape[1])
        front -= skip
        yield piece[:, skip:]
