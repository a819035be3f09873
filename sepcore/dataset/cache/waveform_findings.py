"""Findings about cached waveforms: signals beyond full scale, mixtures that are not the sum of their stems."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.cache.shards import Shard, read_columns
from sepcore.dataset.check.findings import HIGHEST_RESIDUAL_DB
from sepcore.dataset.check.levels import FLOOR_DB
from sepcore.system.printable import first_few

_SHOWN_SONGS = 5
# Keys of the augmentation with which the mixture is the sum of what was drawn, see `WaveformExample.varied`.
_MAKE_A_MIXTURE = ("remix", "gain_db", "polarity", "channel_swap", "time_shift_s")


def beyond_full_scale(shards: Iterable[tuple[str, Shard]]) -> Iterator[str]:
    """A line if songs, given with their names, have signals that were scaled; see `sepcore.dataset.cache.pcm`."""
    songs = []
    for song, shard in shards:
        columns = read_columns(shard.path) or {}
        scales = np.array(columns.get("scale") or [[]]).max(axis=0)
        names = ("mixture", *columns.get("instruments", ()))
        if loud := [name for name, scale in zip(names, scales, strict=False) if scale > 1]:
            songs.append(f"{song!r} ({', '.join(loud)})")
    if songs:
        shown = first_few(songs, _SHOWN_SONGS, separator="; ")
        yield (
            f"{len(songs)} song(s) reach beyond full scale: {shown}. These signals are not clipped: they are stored in "
            "24 bits and scaled."
        )


def songs_that_do_not_add_up(index: ChunkIndex, config: ModelConfig) -> Iterator[str]:
    """A line if songs with stems that do not add up to their mixture get mixtures of their varied stems.

    The tolerance is that of the dataset check; here the difference is measured over the song's cached chunks.
    """
    settings = config.augmentation
    varying = [key for key in _MAKE_A_MIXTURE if getattr(settings, key)]
    if index.pcm is None or not varying:
        return
    residuals_db = _residuals_db(index, config.sample_rate)
    faulty = np.flatnonzero(residuals_db > HIGHEST_RESIDUAL_DB)
    if faulty.size:
        of_shard = np.unique(index.shard, return_index=True)[1]  # the first chunk of each
        names = index.song_column().take(of_shard[faulty]).to_pylist()
        songs = [f"{name!r} ({residuals_db[shard]:.1f} dB)" for name, shard in zip(names, faulty, strict=True)]
        yield (
            f"augmentation has {', '.join(varying)}, and the stems of {len(songs)} training song(s) do not add up to "
            f"the mixture: {first_few(songs, _SHOWN_SONGS)}, expected {HIGHEST_RESIDUAL_DB:.0f} dB of it or less. "
            "Their varied examples lack that difference: add the missing stems, or take the songs out."
        )


def _residuals_db(index: ChunkIndex, sample_rate: int) -> NDArray[np.float64]:
    """RMS of the mixture minus the sum of its stems relative to the mixture's, at least -180 dB, by shard."""
    assert index.pcm is not None
    mixture = np.zeros(len(index))
    for chunk, length in enumerate(index.length.tolist()):
        of_second = 10 ** (index.pcm.levels_db[chunk][0].astype(np.float64) / 10)
        samples = np.diff(np.append(np.arange(0, length, sample_rate), length))
        mixture[chunk] = of_second @ samples
    residual_db = index.pcm.residual_db.astype(np.float64)
    rest = np.where(residual_db > FLOOR_DB, 10 ** (residual_db / 10), 0) * index.length
    rest_of_shard, mixture_of_shard = (np.bincount(index.shard, weights=energy) for energy in (rest, mixture))
    ratio = np.maximum(rest_of_shard / mixture_of_shard, 10 ** (FLOOR_DB / 10))
    residuals_db: NDArray[np.float64] = 10 * np.log10(ratio)
    return residuals_db
