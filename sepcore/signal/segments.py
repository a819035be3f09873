"""A stream of samples cut into overlapping segments of whole STFT frames, and a song's ends, for complex networks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sepcore.signal.blocks import Waveform
from sepcore.signal.windows import WindowKind, analysis_window

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Segmentation:
    """How a waveform is cut into segments.

    All segments are of one STFT: of the waveform with a frame of zeros before it, or ``centered``, with half a frame of
    its own reflection before and after it. Zeros after the waveform make the last segment whole.
    """

    frame_length: int
    hop_length: int
    segment_frames: int
    advance: int
    """Frames from the start of one segment to the next, 1 to ``segment_frames``."""
    centered: bool
    window: WindowKind

    @property
    def front(self) -> int:
        """Samples of the STFT before those of the waveform."""
        return self.frame_length // 2 if self.centered else self.frame_length

    @property
    def segment_samples(self) -> int:
        """Samples that the frames of a segment span."""
        return (self.segment_frames - 1) * self.hop_length + self.frame_length

    def num_frames(self, samples: int) -> int:
        """STFT frames of a waveform of so many samples, >= 1: those of whole segments."""
        needed = -(-samples // self.hop_length) + 1 if self.centered else -(-(samples + self.front) // self.hop_length)
        segments = 1 + max(-(-(needed - self.segment_frames) // self.advance), 0)
        return self.segment_frames + (segments - 1) * self.advance

    def num_samples(self, frames: int) -> int:
        """Samples that so many frames span."""
        return (frames - 1) * self.hop_length + self.frame_length


def cut_segments(waveform: Waveform, cut: Segmentation) -> Iterator[Samples]:
    """The samples of each segment, float32 ``(segment_samples, channels)``; none of an empty waveform.

    What they overlap is in both.
    """
    length, advance = cut.segment_samples, cut.advance * cut.hop_length
    held: Samples | None = None
    start = 0  # of what is held, among the samples of the STFT
    for piece in _with_front(waveform, cut):
        held = piece if held is None else np.concatenate([held, piece])
        # Only if there are more: the last segment ends with what comes after the waveform.
        while len(held) > length:
            yield held[:length]
            held, start = held[advance:], start + advance
    if held is None:
        return
    end = cut.num_samples(cut.num_frames(waveform.received))
    held = _with_end(held, end - start, reflected=cut.front if cut.centered else 0)
    while start + length <= end:
        yield held[:length]
        held, start = held[advance:], start + advance


def _with_front(waveform: Waveform, cut: Segmentation) -> Iterator[Samples]:
    if not cut.centered:
        for number, piece in enumerate(_without_empty(waveform)):
            yield piece if number else np.concatenate([np.zeros((cut.front, piece.shape[1]), np.float32), piece])
        return
    pieces = iter(_without_empty(waveform))
    held: list[Samples] = []
    while sum(map(len, held)) <= cut.front and (next_piece := next(pieces, None)) is not None:
        held.append(next_piece)
    if held:
        first = np.concatenate(held)
        mirrored = _with_end(first, max(len(first), cut.front + 1), reflected=0)[1 : cut.front + 1]
        yield np.concatenate([mirrored[::-1], first])
        yield from pieces


def _without_empty(pieces: Iterable[Samples]) -> Iterator[Samples]:
    return (piece for piece in pieces if len(piece))


def _with_end(samples: Samples, length: int, *, reflected: int) -> Samples:
    """Zeros to a length, the last ``reflected`` of which are the reflection of those before instead."""
    whole = np.zeros((length, samples.shape[1]), np.float32)
    whole[: len(samples)] = samples
    if reflected:
        end = length - reflected
        whole[end:] = whole[end - reflected - 1 : end - 1][::-1]
    return whole


def level_ends(parts: Iterable[Samples], waveform: Waveform, cut: Segmentation) -> Iterator[Samples]:
    """Make up for the frames that the samples at a centered song's ends lack: they are louder by what is missing there.

    Args:
        parts: Consecutive samples of the stems, float32 ``(stems, samples, channels)``, from `add_up` of inverse STFTs.
        waveform: What they were separated from.
        cut: How it was cut.
    """
    if not cut.centered:  # there each sample is in as many frames
        yield from parts
        return
    sent, held = 0, None
    for part in parts:
        held = part if held is None else np.concatenate([held, part], axis=1)
        ready = held.shape[1] - cut.frame_length
        if ready > 0:
            yield held[:, :ready] * _gains(sent, ready, cut, None)
            held, sent = held[:, ready:], sent + ready
    if held is not None and held.shape[1]:
        yield held * _gains(sent, held.shape[1], cut, cut.num_frames(waveform.received))


def _gains(first: int, count: int, cut: Segmentation, num_frames: int | None) -> NDArray[np.float32]:
    """Factors of samples of the song, float32 ``(count, 1)``; ``num_frames`` None: the end is further away."""
    squared = analysis_window(cut.window, cut.frame_length).astype(np.float64) ** 2
    full = np.tile(squared.reshape(-1, cut.hop_length).sum(axis=0), -(-(count + cut.hop_length) // cut.hop_length))
    phase = (first + cut.front) % cut.hop_length
    whole = full[phase : phase + count]
    there = whole.copy()
    span = np.arange(first, first + count) + cut.front
    frames_per_window = cut.frame_length // cut.hop_length
    beyond = [-number * cut.hop_length for number in range(1, frames_per_window)]
    if num_frames is not None:
        beyond += [(num_frames + number) * cut.hop_length for number in range(frames_per_window - 1)]
    for start in beyond:
        inside = (span >= start) & (span < start + cut.frame_length)
        there[inside] -= squared[span[inside] - start]
    gains: NDArray[np.float32] = (whole / there)[:, None].astype(np.float32)
    return gains
