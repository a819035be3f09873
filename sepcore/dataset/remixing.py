"""Remixing: examples whose stems come from different songs."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sepcore.config import ModelConfig
from sepcore.dataset.augmentation import Draw, ExampleRandom, stretched_from
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.segments import ReadSegment

if TYPE_CHECKING:
    import tensorflow as tf

ReadRemixedStems = Callable[[ExampleRandom, "tf.Tensor", "tf.Tensor", "tf.Tensor"], "tf.Tensor"]
DrawChunks = Callable[[ExampleRandom, "tf.Tensor"], tuple["tf.Tensor", "tf.Tensor"]]


def remixed_chunks(index: ChunkIndex, num_stems: int) -> DrawChunks:
    """What draws the chunks of a remixed example's stems.

    Returns:
        A function of the example's random numbers and its own chunk: the stems' chunks, int64 ``(stems,)``, each of
        another song if there are as many, and the number of the stem that stays with the example's own chunk.
    """
    import tensorflow as tf

    first_chunks = np.flatnonzero(np.diff(index.shard, prepend=-1))  # of the songs; a song's chunks stand together
    first_chunk = tf.constant(first_chunks, tf.int64)
    num_chunks = tf.constant(np.diff(first_chunks, append=len(index)), tf.int64)
    last_song = tf.constant(len(first_chunks) - 1, tf.int64)
    places = tf.range(num_stems, dtype=tf.int64) % len(first_chunks)

    def draw(random: ExampleRandom, chunk: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        kept = tf.cast(random.uniform(Draw.REMIX_KEPT_STEM) * num_stems, tf.int32)
        own = tf.searchsorted(first_chunk, chunk[None], side="right", out_type=tf.int64)[0] - 1
        # The first songs of a random order of all are different ones. Should the own song be among them, the one that
        # the kept stem has no need of takes its place.
        songs = tf.random.experimental.index_shuffle(places, random.seed(Draw.REMIX_SONGS), last_song)
        songs = tf.where(songs == own, songs[kept], songs)
        within = _part_of(tf.gather(num_chunks, songs), random.uniform(Draw.REMIX_CHUNKS, shape=(num_stems,)))
        return tf.where(tf.range(num_stems) == kept, chunk, tf.gather(first_chunk, songs) + within), kept

    return draw


def remixed_stems_reader(read: ReadSegment, index: ChunkIndex, config: ModelConfig) -> ReadRemixedStems:
    """What reads stems that come from different songs.

    Returns:
        A function of the example's random numbers, its own chunk, its segment's first frame there and the number of
        frames wanted: the stems' magnitudes, float32 ``(stems, frames, bins, channels)``, with fewer frames where a
        chunk is shorter.
    """
    import tensorflow as tf

    num_stems, segment_frames = len(config.instruments), config.segment_frames
    num_frames, draw_chunks = tf.constant(index.num_frames), remixed_chunks(index, num_stems)

    def read_stems(
        random: ExampleRandom, chunk: "tf.Tensor", first_frame: "tf.Tensor", wanted: "tf.Tensor"
    ) -> "tf.Tensor":
        chunks, kept = draw_chunks(random, chunk)
        available = tf.cast(tf.gather(num_frames, chunks), tf.int64)
        drawn = _part_of(available - segment_frames + 1, random.uniform(Draw.REMIX_FRAMES, shape=(num_stems,)))
        first_frames = tf.where(tf.range(num_stems) == kept, first_frame, drawn)
        # Mixed as they are, the stems must be stretched alike.
        frames = tf.minimum(wanted, tf.reduce_min(available))
        starts = stretched_from(first_frames, segment_frames, frames, available)
        return tf.concat([read(chunks[stem], starts[stem], frames, stem=stem) for stem in range(num_stems)], axis=0)

    return read_stems


def _part_of(count: "tf.Tensor", share: "tf.Tensor") -> "tf.Tensor":
    """A whole number from 0 to ``count - 1``, int64, for each share from 0 to below 1."""
    import tensorflow as tf

    return tf.cast(share * tf.cast(count, tf.float32), tf.int64)
