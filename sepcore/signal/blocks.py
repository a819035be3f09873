"""A stream of samples cut into overlapping blocks of whole STFT frames, and their results overlap-added."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sepcore.signal.spectrogram import num_frames
from sepcore.system.threads import ordered_map

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Framing:
    """How a waveform is cut into overlapping blocks of whole STFT frames."""

    frame_length: int
    hop_length: int
    block_frames: int
    last_multiple: int
    """The last block's frames are padded to a multiple of this, which divides ``block_frames``."""
    advance_frames: int | None = None
    """From the start of one block to the next; None: ``block_frames``. With less, every frame is in several blocks,
    whose results are added up: whoever computes them must weight the frames, e.g. by `cross_fade`."""

    @property
    def advance(self) -> int:
        """See ``advance_frames``."""
        return self.advance_frames or self.block_frames

    @property
    def front(self) -> int:
        """Zeros before the waveform in samples: one window, and room for the first frames to be in as many blocks."""
        return self.frame_length + (self.block_frames - self.advance) * self.hop_length

    def samples(self, frames: int) -> int:
        """Samples that these frames cover."""
        return (frames - 1) * self.hop_length + self.frame_length


def overlap_add_blocks(
    blocks: Iterable[Samples], process: Callable[[Samples], Samples], framing: Framing, *, threads: int = 1
) -> Iterator[Samples]:
    """Process a waveform of any length block by block, with the result of processing it whole.

    One frame of zeros is put in front and the end is padded, as at separation (`num_frames`).

    Args:
        blocks: The waveform in pieces of any length, which do not change the result: float32 ``(samples, channels)``.
        process: Takes the samples of some frames, ``((frames - 1) * hop_length + frame_length, channels)``, and returns
            the overlap-added inverse STFT of these frames, ``(stems, same samples, channels)``.
        framing: How the waveform is cut.
        threads: How many blocks are processed at once.

    Yields:
        float32 ``(stems, samples, channels)``; in all as many samples as came in.
    """
    waveform = Waveform(blocks)
    stems = ordered_map(process, padded_blocks(waveform, framing), threads=threads)
    overlap = framing.samples(framing.block_frames) - framing.advance * framing.hop_length
    return add_up(stems, waveform, front=framing.front, overlap=overlap)


class Waveform:
    """A waveform in pieces that counts the samples received so far."""

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
    """Cut a waveform into blocks, with zeros before the first and after the last."""
    block = framing.samples(framing.block_frames)
    advance = framing.advance * framing.hop_length
    buffer: Samples | None = None
    cut = 0
    for piece in waveform:
        front = np.zeros((framing.front, piece.shape[1]), np.float32) if buffer is None else buffer
        buffer = np.concatenate([front, piece])
        # Not at exactly a block's samples, so that there is always a last block to pad.
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
        parts: float32 ``(stems, samples, channels)``, computed from ``waveform``; they are overwritten.
        waveform: As many samples go out as it has received.
        front: Samples to drop at the start.
        overlap: Samples that a part shares with the next one.
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
        # Only padding reaches beyond the waveform's end, and by then the end is known.
        end = min(done, front + waveform.received - sent) if waveform.is_read else done
        sent += done
        if end > skip:
            yield stems[:, skip:end]
    # Only where the last frame is centered on the waveform's end.
    if carry is not None and front + waveform.received > sent:
        yield carry[:, max(front - sent, 0) : front + waveform.received - sent]


def overlapping_advance(segment_frames: int, overlap: float) -> int:
    """Frames from one segment to the next if they overlap by this part of their length, 0 < ``overlap`` < 1."""
    return max(round(segment_frames * (1 - overlap)), 1)


def cross_fade(segment_frames: int, advance_frames: int) -> NDArray[np.float32]:
    """Weights of a segment's frames that add up to 1 over all segments that hold a frame.

    Segments start every ``advance_frames``, 1 to ``segment_frames``. Where two overlap, one fades linearly into the
    other. Where more do, a frame counts most in the segment that has it nearest to its middle: there the network sees
    most of what surrounds it. float32 ``(segment_frames,)``, > 0.
    """
    edge = np.minimum(np.arange(segment_frames), np.arange(segment_frames)[::-1]) + 0.5
    weights = np.minimum(edge, max(segment_frames - advance_frames, 1))
    total = [weights[first::advance_frames].sum() for first in range(advance_frames)]
    scaled: NDArray[np.float32] = (weights / np.resize(total, segment_frames)).astype(np.float32)
    return scaled
