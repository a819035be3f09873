"""Batches for training and validation from the shards, as NumPy arrays, read ahead by threads.

Each example is a function of the seed, the step and its place in the batch, so a training starts at any step without
reading what comes before, and neither threads nor interruptions change what it sees.

Grain, the library that is made for this, was measured and not taken: docs/train.md has the reasons.
"""

import itertools
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.magnitudes import MagnitudeExamples
from sepcore.dataset.waveforms import WaveformExamples
from sepcore.system.threads import num_cores, ordered_map

_BATCHES_AHEAD = 2
Batch = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Mixture and stems, float32.

Of spectrograms, linear amplitude ``(batch, T, F, channels)`` and ``(batch, stems, T, F, channels)``; of waveforms, the
samples that the STFT frames of a segment span: ``(batch, samples, channels)`` and ``(batch, stems, samples,
channels)``.
"""
Batches = Generator[Batch, None, None]
"""Batches in order. Closing or dropping it, an error and the end of the process stop its threads."""


def training_batches(index: ChunkIndex, config: ModelConfig, *, first_step: int = 0) -> Batches:
    """Endless random crops, augmented.

    Args:
        index: The training chunks.
        config: Segment length, batch size, seed and augmentation.
        first_step: The step whose batch comes first, >= 0; those before it are not read.

    Raises:
        DatasetError: a chunk cannot be read; it is raised in place of the batch that needs it.
    """
    examples, batch_size = training_examples(index, config), config.batch_size

    def read(number: int, mixture: NDArray[np.float32], stems: NDArray[np.float32]) -> None:
        examples.read_training(*divmod(number, batch_size), mixture, stems)

    numbers = (range(step * batch_size, (step + 1) * batch_size) for step in itertools.count(first_step))
    return _read_ahead(read, numbers, examples.signal_shape, config)


def validation_batches(index: ChunkIndex, config: ModelConfig) -> Batches:
    """The middle crop of every chunk, not augmented, as from `training_batches`; the last batch may be smaller."""
    examples, batch_size = training_examples(index, config), config.batch_size
    numbers = (range(len(index))[first : first + batch_size] for first in range(0, len(index), batch_size))
    return _read_ahead(examples.read_validation, numbers, examples.signal_shape, config)


def training_examples(index: ChunkIndex, config: ModelConfig) -> MagnitudeExamples | WaveformExamples:
    """The examples of a training, by the content of its cache."""
    return (WaveformExamples if config.cache_content == "waveform" else MagnitudeExamples)(index, config)


def describe_batch(index: ChunkIndex, config: ModelConfig, step: int) -> list[str]:
    """Song and offset of each example of one step's batch, ``"Artist - Title at 12.3 s"``.

    Steps are counted from 0. With the augmentation ``remix``, examples may have stems of other songs, too.
    """
    examples = training_examples(index, config)
    unit = 1 if config.cache_content == "waveform" else config.hop_length
    places = []
    for place in range(config.batch_size):
        chunk, first = examples.crop(step, place)
        row = index.row(chunk)
        places.append(f"{row['song']} at {row['start_s'] + first * unit / config.sample_rate:.1f} s")
    return places


class _Place(NamedTuple):
    """An example to be read, and where to."""

    number: int
    mixture: NDArray[np.float32]
    stems: NDArray[np.float32]
    batch: Batch | None  # at its last place: all of it


def _read_ahead(
    read: Callable[[int, NDArray[np.float32], NDArray[np.float32]], None],
    numbers: Iterable[range],
    signal_shape: tuple[int, ...],
    config: ModelConfig,
) -> Batches:
    """Have threads read the examples of each batch, by their numbers, into the batch's own arrays."""

    def places() -> Generator[_Place, None, None]:
        for of_batch in numbers:
            mixture = np.empty((len(of_batch), *signal_shape), np.float32)
            stems = np.empty((len(of_batch), len(config.instruments), *signal_shape), np.float32)
            for place, number in enumerate(of_batch):
                last = place == len(of_batch) - 1
                yield _Place(number, mixture[place], stems[place], (mixture, stems) if last else None)

    def fill(place: _Place) -> Batch | None:
        read(place.number, place.mixture, place.stems)
        return place.batch

    ahead = _BATCHES_AHEAD * config.batch_size
    # Two at least: with one, nothing would be read while the network trains.
    threads = min(max(num_cores(), 2), ahead)
    with closing(ordered_map(fill, places(), threads=threads, ahead=ahead)) as filled:
        yield from (batch for batch in filled if batch is not None)
