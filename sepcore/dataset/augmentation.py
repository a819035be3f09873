"""Changes of magnitude spectrograms without phases, which shards do not hold: level, mixture, pitch and tempo."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# So many values at a time stay in the processor's cache.
_BLOCK_VALUES = 2**16


def change_gains(
    mixture: NDArray[np.float32], stems: Sequence[NDArray[np.float32]], gains: NDArray[np.float32]
) -> None:
    """Multiply each stem by a gain, and the mixture's bins by the resulting change of level, in place.

    A bin of the mixture is scaled by ``sqrt(sum((gain * stem)^2) / sum(stem^2))``, as the total power of the stems
    changes, so the mixture keeps the interference of its stems. This is exact where one stem sounds alone and where all
    gains are equal, and else right on average over phases. Bins in which all stems are zero stay unchanged.

    Args:
        mixture: Linear amplitude, float32 ``(frames, bins, channels)``.
        stems: Each as the mixture.
        gains: Factors, > 0, float32 ``(stems,)``.
    """
    for rows in _row_blocks(mixture):
        before, after, power = (np.zeros_like(mixture[rows]) for _ in range(3))
        for stem, gain in zip(stems, gains, strict=True):
            np.square(stem[rows], out=power)
            before += power
            stem[rows] *= gain
            power *= gain * gain
            after += power
        silent = before == 0
        before[silent] = after[silent] = 1
        after /= before
        mixture[rows] *= np.sqrt(after, out=after)


def power_sum(stems: Sequence[NDArray[np.float32]], *, out: NDArray[np.float32]) -> None:
    """Write a mixture of stems that were never mixed, ``sqrt(sum(stem^2))``, into ``out``.

    It is the root mean square of ``|sum(stem * exp(i * phase))|`` over independent phases. Real mixtures scatter around
    it by interference, from near 0 up to the sum of the magnitudes: a network that sees only these mixtures never
    learns about interference.

    Args:
        stems: Magnitudes, each float32 ``(frames, bins, channels)``.
        out: As one of them.
    """
    for rows in _row_blocks(out):
        np.square(stems[0][rows], out=out[rows])
        for stem in stems[1:]:
            out[rows] += np.square(stem[rows])
        np.sqrt(out[rows], out=out[rows])


def resample(signal: NDArray[np.float32], pitch_factor: np.float32, *, out: NDArray[np.float32]) -> None:
    """Stretch a spectrogram to another number of frames, and shift its bins.

    Both by bilinear interpolation of magnitudes with fixed ends, as in Spleeter (TensorFlow's ``ResizeBilinear`` with
    ``align_corners``). Pitch is the same as in Spleeter: F bins become ``int(F * pitch_factor)``, of which the lowest F
    are kept; if they are fewer, zeros follow. Tempo is not: Spleeter stretches T frames to more or fewer, then cuts or
    pads them; here the result has no padding.

    Args:
        signal: Magnitudes, float32 ``(frames, bins, channels)``.
        pitch_factor: Ratio of the frequencies, > 0.
        out: The result, with the same bins and channels; its frames are what the signal's are stretched to.
    """
    (num_source_frames, num_bins, _), num_frames = signal.shape, len(out)
    shifted_bins = int(num_bins * pitch_factor)
    kept = min(shifted_bins, num_bins)
    frames, bins = _places(num_source_frames, num_frames), _places(num_bins, shifted_bins)
    for rows in _row_blocks(out):
        of_rows = frames.part(rows)
        source = signal[of_rows.below[0] : of_rows.above[-1] + 1]
        # Bins first, as TensorFlow does: in the other order, loud bins would change what is rounded of quiet ones.
        if shifted_bins != num_bins:
            source = _interpolated(source, bins.part(slice(kept)), axis=1)
        if num_frames != num_source_frames:
            source = _interpolated(source, of_rows.counted_from(of_rows.below[0]), axis=0)
        out[rows, :kept] = source
    out[:, kept:] = 0


class _Places(NamedTuple):
    """Places between values along an axis."""

    below: NDArray[np.int64]  # the number of the value at or before each place
    above: NDArray[np.int64]  # the number of the value at or after it
    share: NDArray[np.float32]  # how far it is from the one to the other, in [0, 1)

    def part(self, of: slice) -> "_Places":
        return _Places(self.below[of], self.above[of], self.share[of])

    def counted_from(self, first: np.int64) -> "_Places":
        return self._replace(below=self.below - first, above=self.above - first)


def _places(count: int, new_count: int) -> _Places:
    """``new_count`` places, evenly spaced from the first to the last of ``count`` values."""
    # In float32, as TensorFlow computes it.
    step = np.float32(count - 1) / np.float32(max(new_count - 1, 1))
    places = np.arange(new_count, dtype=np.float32) * step
    below = places.astype(np.int64)
    above = np.minimum(np.ceil(places).astype(np.int64), count - 1)
    return _Places(below, above, places - below.astype(np.float32))


def _interpolated(values: NDArray[np.float32], places: _Places, *, axis: int) -> NDArray[np.float32]:
    """Interpolate float32 ``(frames, bins, channels)`` along one of the first two axes."""
    low, high = values.take(places.below, axis=axis), values.take(places.above, axis=axis)
    # One share for each value of a frame: loops over two channels would be slow.
    shares = places.share[:, None] if axis == 0 else np.repeat(places.share, values.shape[2])
    difference, start = (part.reshape(len(part), -1) for part in (high, low))
    difference -= start
    difference *= shares
    difference += start
    return high


def _row_blocks(signal: NDArray[np.float32]) -> list[slice]:
    """Slices of a spectrogram's frames."""
    rows = max(_BLOCK_VALUES // max(signal[0].size, 1), 1)
    return [slice(first, first + rows) for first in range(0, len(signal), rows)]
