"""A stream of samples cut into overlapping blocks of whole STFT frames, and the results overlap-added again."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from sepcore.signal.spectrogram import num_frames

Samples = NDArray[np.float32]


def overlap_add_blocks(
    blocks: Iterable[Samples],
    process: Callable[[Samples], Samples],
    *,
    frame_length: int,
    hop_length: int,
    block_frames: int,
    last_multiple: int,
) -> Iterator[Samples]:
    """Process a waveform of any length block by block, as if it had been processed as a whole.

    One frame of zeros is put in front and the end is padded, as at separation (`num_frames`). What is handed on does
    not depend on how the input is cut into pieces.

    Args:
        blocks: The waveform in pieces of any length, float32 ``(samples, channels)``.
        process: Takes the samples under a number of frames, ``((frames - 1) * hop_length + frame_length, channels)``,
            and returns what the inverse STFT of these frames adds up to, ``(stems, same samples, channels)``.
        frame_length: STFT window in samples.
        hop_length: STFT step in samples.
        block_frames: Frames that ``process`` gets at once.
        last_multiple: The last block's frames are padded to a multiple of this, which divides ``block_frames``.

    Yields:
        float32 ``(stems, samples, channels)``; in all as many samples as came in.
    """
    advance = block_frames * hop_length
    buffer: Samples | None = None
    carry: Samples | None = None
    received = sent = frames_done = 0

    def finish(stems: Samples) -> Samples:
        """Add what earlier frames left, keep what later ones will change, and drop the zeros in front."""
        nonlocal carry, sent
        if carry is not None:
            stems = np.concatenate([stems[:, : carry.shape[1]] + carry, stems[:, carry.shape[1] :]], axis=1)
        done = stems.shape[1] - (frame_length - hop_length)
        carry = stems[:, done:].copy()
        skip = min(max(frame_length - sent, 0), done)
        sent += done
        return stems[:, skip:done]

    for piece in blocks:
        received += len(piece)
        front = np.zeros((frame_length, piece.shape[1]), np.float32) if buffer is None else buffer
        buffer = np.concatenate([front, piece])
        # More than a block's samples, so that there is always a last block to pad.
        while len(buffer) > advance - hop_length + frame_length:
            yield finish(process(buffer[: advance - hop_length + frame_length]))
            buffer = buffer[advance:]
            frames_done += block_frames

    left = num_frames(received, frame_length, hop_length) - frames_done
    handed_on = max(sent - frame_length, 0)
    while buffer is not None and left > 0 and handed_on < received:
        frames = min(-(-left // last_multiple) * last_multiple, block_frames)
        needed = (frames - 1) * hop_length + frame_length
        padded = np.zeros((needed, buffer.shape[1]), np.float32)
        padded[: len(buffer)] = buffer[:needed]
        stems = finish(process(padded))[:, : received - handed_on]
        yield stems
        handed_on += stems.shape[1]
        buffer, left = buffer[frames * hop_length :], left - frames
