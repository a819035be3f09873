"""Training examples of magnitude spectrograms: what is drawn for each, and how it is read and varied."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sepcore.config.dataset import AugmentationConfig
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.augmentation import change_gains, power_sum, resample
from sepcore.dataset.cache.chunk_reader import ChunkReader
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.crops import Crops
from sepcore.dataset.draws import Draw, ExampleRandom

_SEMITONES_PER_OCTAVE = 12


class MagnitudeExample(NamedTuple):
    """What was drawn for an example."""

    chunks: NDArray[np.int64]  # the number of each stem's chunk in the index, ``(stems,)``; all the same unless remixed
    first_frames: NDArray[np.int64]  # the first frame of each stem's segment in its chunk, ``(stems,)``
    num_frames: int  # frames to read, which are resampled to those of a segment
    remixed: bool  # whether the stems come from different chunks, and the mixture is made from them
    gains: NDArray[np.float32]  # a factor for each stem, ``(stems,)``
    pitch_factor: np.float32  # ratio of the frequencies
    swapped: bool  # whether the channels are reversed


class MagnitudeExamples:
    """The examples of a training: each depends only on the seed, its step and its place in the step's batch."""

    def __init__(self, index: ChunkIndex, config: ModelConfig) -> None:
        self._crops = Crops(index, config, length=config.segment_frames)
        self._reader = ChunkReader(index, config)
        self._segment_frames, self._num_stems = config.segment_frames, len(config.instruments)
        self._settings = config.augmentation
        self.signal_shape: tuple[int, ...] = (config.segment_frames, config.num_bins, config.num_channels)

    def crop(self, step: int, place: int) -> tuple[int, int]:
        """The number of the example's own chunk in the index, and the first frame of its segment."""
        return self._crops.own(step, place)

    def example(self, step: int, place: int) -> MagnitudeExample:
        """Draw an example."""
        random, settings = self._crops.random(step, place), self._settings
        crops = self._crops.of_stems(step, place)
        available = self._crops.stretches.lengths[crops.stretches]
        # All stems must be stretched alike.
        num_frames = min(num_source_frames(random, settings, self._segment_frames), int(available.min()))
        gains_db = settings.gain_db * random.symmetric(Draw.GAIN, self._num_stems)
        semitones = settings.pitch_shift * random.symmetric(Draw.PITCH, 1)[0]
        return MagnitudeExample(
            chunks=crops.stretches,  # each a chunk
            first_frames=stretched_from(crops.firsts, self._segment_frames, num_frames, available),
            num_frames=num_frames,
            remixed=crops.remixed,
            gains=(10 ** (gains_db / 20)).astype(np.float32),
            pitch_factor=np.float32(2 ** (semitones / _SEMITONES_PER_OCTAVE)),
            swapped=bool(settings.channel_swap and random.uniform(Draw.CHANNEL_SWAP, 1)[0] < 0.5),
        )

    def read_training(self, step: int, place: int, mixture: NDArray[np.float32], stems: NDArray[np.float32]) -> None:
        """Draw an example and write its linear amplitude into the arrays.

        Args:
            step: Steps before it.
            place: Its place in the step's batch.
            mixture: float32 ``(T, F, channels)``.
            stems: float32 ``(stems, T, F, channels)``.

        Raises:
            DatasetError: a chunk cannot be read.
        """
        drawn, settings, out = self.example(step, place), self._settings, (mixture, *stems)
        stretches = bool(settings.time_stretch or settings.pitch_shift)
        signals = [np.empty((drawn.num_frames, *mixture.shape[1:]), np.float32) for _ in out] if stretches else out
        self._read(drawn, signals)
        if settings.gain_db:
            change_gains(signals[0], signals[1:], drawn.gains)
        if stretches:
            for signal, resampled in zip(signals, out, strict=True):
                resample(signal, drawn.pitch_factor, out=resampled)
        if drawn.swapped:
            for signal in out:
                signal[...] = signal[..., ::-1].copy()

    def _read(self, drawn: MagnitudeExample, signals: Sequence[NDArray[np.float32]]) -> None:
        if not drawn.remixed:
            self._reader.read_into(signals, int(drawn.chunks[0]), int(drawn.first_frames[0]))
            return
        for stem, (chunk, first) in enumerate(zip(drawn.chunks.tolist(), drawn.first_frames.tolist(), strict=True)):
            one_signal = slice(1 + stem, 2 + stem)
            self._reader.read_into(signals[one_signal], chunk, first, one_signal)
        power_sum(signals[1:], out=signals[0])

    def read_validation(self, chunk: int, mixture: NDArray[np.float32], stems: NDArray[np.float32]) -> None:
        """Write the middle segment of a chunk into the arrays, as `read_training` does."""
        first = (int(self._crops.stretches.lengths[chunk]) - self._segment_frames) // 2
        self._reader.read_into((mixture, *stems), chunk, first)


def num_source_frames(random: ExampleRandom, settings: AugmentationConfig, segment_frames: int) -> int:
    """How many frames of a chunk are stretched to a segment: the music becomes 1 ± ``time_stretch`` times as long."""
    if not settings.time_stretch:
        return segment_frames
    tempo = float(1 + settings.time_stretch * random.symmetric(Draw.TEMPO, 1)[0])
    return round(segment_frames / tempo)


def stretched_from(
    first_frames: NDArray[np.int64], segment_frames: int, num_frames: int, available: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The first of ``num_frames`` frames around the middle of each segment, as far as the chunks' ends allow.

    So time stretch does not move an example in its song. ``first_frames`` of the segments and ``available`` frames of
    the chunks have the same shape; ``num_frames`` is at most ``available``.
    """
    around_the_middle = first_frames - (num_frames - segment_frames) // 2
    return np.clip(around_the_middle, 0, available - num_frames)
