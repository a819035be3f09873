"""Training examples of waveforms: what is drawn for each, and how it is read and varied, exactly."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.activity import Activity
from sepcore.dataset.cache.chunk_reader import ChunkReader
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.crops import Crops, StemCrops
from sepcore.dataset.draws import Draw, ExampleRandom


class WaveformExample(NamedTuple):
    """What was drawn for an example; arrays have an item for each stem."""

    stretches: NDArray[np.int64]  # the numbers of their stretches
    firsts: NDArray[np.int64]  # the first sample of each in its stretch
    factors: NDArray[np.float32]  # gain and sign
    swapped: NDArray[np.bool_]  # whether the channels are reversed
    varied: bool  # the mixture is made from the stems: they are not as they were recorded together


class WaveformExamples:
    """The examples of a training: each depends only on the seed, its step and its place in the step's batch."""

    def __init__(self, index: ChunkIndex, config: ModelConfig) -> None:
        self._crops = Crops(index, config, length=config.segment_samples)
        self._stretches = self._crops.stretches
        self._activity = Activity(index, config, self._stretches)
        self._reader, self._chunk_lengths = ChunkReader(index, config), index.length
        self._num_samples, self._num_stems = config.segment_samples, len(config.instruments)
        self._settings, self._sample_rate = config.augmentation, config.sample_rate
        self.signal_shape: tuple[int, ...] = (config.segment_samples, config.num_channels)

    def crop(self, step: int, place: int) -> tuple[int, int]:
        """The number of the chunk in the index where the example, or its stem that is kept, starts, and the sample."""
        crops = self._places(step, place)
        stretch, first = int(crops.stretches[crops.kept]), int(crops.firsts[crops.kept])
        piece = next(self._stretches.pieces(stretch, first, self._num_samples))
        return piece.chunk, piece.first

    def example(self, step: int, place: int) -> WaveformExample:
        """Draw an example."""
        random, settings, num_stems = self._crops.random(step, place), self._settings, self._num_stems
        crops = self._places(step, place)
        firsts = self._shifted(crops, random)
        factors = (10 ** (settings.gain_db * random.symmetric(Draw.GAIN, num_stems) / 20)).astype(np.float32)
        if settings.polarity:
            factors[random.uniform(Draw.POLARITY, num_stems) < 0.5] *= -1
        swapped = (random.uniform(Draw.CHANNEL_SWAP, num_stems) < 0.5) & settings.channel_swap
        changed = (firsts != crops.firsts) | (factors != 1) | swapped
        return WaveformExample(crops.stretches, firsts, factors, swapped, varied=crops.remixed or bool(changed.any()))

    def _shifted(self, crops: StemCrops, random: ExampleRandom) -> NDArray[np.int64]:
        """The first samples of the stems, all but the kept one moved against it; remixed ones have places of their own.

        Each is drawn from the places that its stretch allows: cut off there, many would lie at the stretch's ends.
        """
        most = round(self._settings.time_shift_s * self._sample_rate)
        if crops.remixed or not most:
            return crops.firsts
        lows = np.maximum(crops.firsts - most, 0)
        highs = np.minimum(crops.firsts + most, self._stretches.lengths[crops.stretches] - self._num_samples)
        firsts = lows + random.below(Draw.TIME_SHIFT, highs - lows + 1)
        firsts[crops.kept] = crops.firsts[crops.kept]
        return firsts

    def _places(self, step: int, place: int) -> StemCrops:
        """Where the stems come from before they are shifted, in sounding places if the example shall sound."""
        random, crops = self._crops.random(step, place), self._crops.of_stems(step, place)
        if random.uniform(Draw.ACTIVITY, 1)[0] >= self._settings.activity:
            return crops
        if crops.remixed:
            return self._sounding(crops, random)
        # All stems come from one place: where one of them sounds.
        stem = int(random.uniform(Draw.ACTIVITY_STEM, 1)[0] * self._num_stems)
        crop = self._activity.crop(int(crops.stretches[stem]), stem, random.uniform(Draw.ACTIVITY_CROP, 1)[0])
        if crop is None:
            return crops
        stretches, firsts = (np.full(self._num_stems, value) for value in crop)
        return crops._replace(stretches=stretches, firsts=firsts, kept=stem)

    def _sounding(self, crops: StemCrops, random: ExampleRandom) -> StemCrops:
        stretches, firsts = crops.stretches.copy(), crops.firsts.copy()
        for stem, uniform in enumerate(random.uniform(Draw.ACTIVITY_CROP, self._num_stems).tolist()):
            if crop := self._activity.crop(int(stretches[stem]), stem, uniform):
                stretches[stem], firsts[stem] = crop
        return crops._replace(stretches=stretches, firsts=firsts)

    def read_training(self, step: int, place: int, mixture: NDArray[np.float32], stems: NDArray[np.float32]) -> None:
        """Draw an example and write it into the arrays, ``(samples, channels)`` and ``(stems, samples, channels)``.

        Raises:
            DatasetError: a chunk cannot be read.
        """
        drawn = self.example(step, place)
        stretches, firsts = drawn.stretches.tolist(), drawn.firsts.tolist()
        if not drawn.varied:
            self._read((mixture, *stems), stretches[0], firsts[0])
            return
        for stem, waveform in enumerate(stems):
            self._read([waveform], stretches[stem], firsts[stem], slice(1 + stem, 2 + stem))
            waveform *= drawn.factors[stem]
            if drawn.swapped[stem]:
                waveform[...] = waveform[:, ::-1].copy()
        stems.sum(axis=0, out=mixture)

    def _read(self, out: Sequence[NDArray[np.float32]], stretch: int, first: int, signals: slice = slice(None)) -> None:
        done = 0
        for piece in self._stretches.pieces(stretch, first, self._num_samples):
            parts = [waveform[done : done + piece.length] for waveform in out]
            self._reader.read_into(parts, piece.chunk, piece.first, signals)
            done += piece.length

    def read_validation(self, chunk: int, mixture: NDArray[np.float32], stems: NDArray[np.float32]) -> None:
        """Write the middle crop of a chunk into the arrays, as `read_training` does."""
        first = (int(self._chunk_lengths[chunk]) - self._num_samples) // 2
        self._reader.read_into((mixture, *stems), chunk, first)
