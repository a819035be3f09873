"""A stream of samples cut into overlapping blocks of whole STFT frames, and the results overlap-added again."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sepcore.signal.spectrogram import num_frames
from sepcore.system.ordered_map import ordered_map

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Framing:
    """How a waveform is cut into overlapping blocks of whole STFT frames.

    Attributes:
        frame_length: STFT window in samples.
        hop_length: STFT step in samples.
        block_frames: Frames of a block.
        last_multiple: The last block's frames are padded to a multiple of this, which divides ``block_frames``.
        advance_frames: From the start of a block to that of the next; None: ``block_frames``. If it is less, blocks
            overlap, every frame lies in as many of them, and their results are added up: the function that works on
            them has to weigh its frames.
    """

    frame_length: int
    hop_length: int
    block_frames: int
    last_multiple: int
    advance_frames: int | None = None

    @property
    def advance(self) -> int:
        """See ``advance_frames``; in frames."""
        return self.advance_frames or self.block_frames

    @property
    def front(self) -> int:
        """Zeros before the waveform in samples: one window, and what lets the first frames lie in as many blocks."""
        return self.frame_length + (self.block_frames - self.advance) * self.hop_length

    def samples(self, frames: int) -> int:
        """Samples under so many frames."""
        return (frames - 1) * self.hop_length + self.frame_length


def overlap_add_blocks(
    blocks: Iterable[Samples], process: Callable[[Samples], Samples], framing: Framing, *, threads: int = 1
) -> Iterator[Samples]:
    """Process a waveform of any length block by block, as if it had been processed as a whole.

    One frame of zeros is put in front and the end is padded, as at separation (`num_frames`). What is handed on does
    not depend on how the input is cut into pieces.

    Args:
        blocks: The waveform in pieces of any length, float32 ``(samples, channels)``.
        process: Takes the samples under a number of frames, ``((frames - 1) * hop_length + frame_length, channels)``,
            and returns what the inverse STFT of these frames adds up to, ``(stems, same samples, channels)``.
        framing: How it is cut.
        threads: How many blocks are processed at once.

    Yields:
        float32 ``(stems, samples, channels)``; in all as many samples as came in.
    """
    waveform = Waveform(blocks)
    stems = ordered_map(process, padded_blocks(waveform, framing), threads=threads)
    overlap = framing.samples(framing.block_frames) - framing.advance * framing.hop_length
    return add_up(stems, waveform, front=framing.front, overlap=overlap)


class Waveform:
    """A waveform in pieces, and how much of it has come."""

    def __init__(self, blocks: Iterable[Samples]) -> None:
        self._blocks = blocks
        self.received = 0
        self.is_read = False

    def __iter__(self) -> Iterator[Samples]:
        for piece in self._blocks:
            self.received += len(piece)
            yield piece
        self.is_read = True


def padded_blocks(waveform: Waveform, framing: Framing) -> Iterator[Samples]:
    """The samples of one block after the other, zeros in front of the first and behind the last."""
    block = framing.samples(framing.block_frames)
    advance = framing.advance * framing.hop_length
    buffer: Samples | None = None
    cut = 0
    for piece in waveform:
        front = np.zeros((framing.front, piece.shape[1]), np.float32) if buffer is None else buffer
        buffer = np.concatenate([front, piece])
        # More than a block's samples, so that there is always a last block to pad.
        while len(buffer) > block:
            yield buffer[:block]
            buffer = buffer[advance:]
            cut += advance
    end = framing.front + waveform.received
    while buffer is not None and cut < end:
        frames = framing.block_frames
        if framing.advance_frames is None:
            left = num_frames(waveform.received, framing.frame_length, framing.hop_length) - cut // framing.hop_length
            frames = min(-(-left // framing.last_multiple) * framing.last_multiple, frames)
        padded = np.zeros((framing.samples(frames), buffer.shape[1]), np.float32)
        padded[: len(buffer)] = buffer[: len(padded)]
        yield padded
        buffer, cut = buffer[advance:], cut + advance


def add_up(parts: Iterable[Samples], waveform: Waveform, *, front: int, overlap: int) -> Iterator[Samples]:
    """Add up consecutive parts, each of which overlaps the next.

    Args:
        parts: ``(stems, samples, channels)``, made of what ``waveform`` gave; handed over for good.
        waveform: How much has come in, and so how much goes out.
        front: Samples to drop at the start.
        overlap: Samples at a part's end that the next one begins with.

    Yields:
        float32 ``(stems, samples, channels)``.
    """
    carry: Samples | None = None
    sent = 0
    for part in parts:
        stems = part if part.flags.writeable else part.copy()
        if carry is not None:
            stems[:, : carry.shape[1]] += carry
        done = stems.shape[1] - overlap
        carry = stems[:, done:].copy()
        skip = min(max(front - sent, 0), done)
        # Only what was padded reaches beyond the waveform's end, and by then that is known.
        end = min(done, front + waveform.received - sent) if waveform.is_read else done
        sent += done
        if end > skip:
            yield stems[:, skip:end]


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
