"""Fingerprints of cached chunks: they change when the audio does, or what is done to it."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from sepcore.config.model_config import ModelConfig

# Goes up when chunks are computed or stored in another way, so that caches of before are not taken for new.
_FORMAT_VERSION = 2


def shard_settings(config: ModelConfig) -> dict[str, Any]:
    """What a shard's bytes depend on beside the audio, under the keys of the config's JSON.

    ``T`` is not among them: every chunk is stored, and the index lists those that hold a segment.
    """
    return {
        "format": _FORMAT_VERSION,
        "cache_format": config.cache_format,
        "cache_dtype": config.cache_dtype,
        "instrument_list": list(config.instruments),
        "sample_rate": config.sample_rate,
        "n_channels": config.num_channels,
        "frame_length": config.frame_length,
        "frame_step": config.hop_length,
        "F": config.num_bins,
        "chunk_duration": config.chunk_duration_s,
    }


def shard_fingerprint(checksums: Iterable[str], starts: Iterable[int], config: ModelConfig) -> str:
    """Sixteen hex digits of what a shard is made from; names, places and dates of the files are not part of it.

    Args:
        checksums: SHA-256 of each recording, the mixture's first.
        starts: Where the chunks start, in samples.
        config: Audio, STFT and chunk settings.
    """
    made_from = {"settings": shard_settings(config), "recordings": list(checksums), "starts": list(starts)}
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]


def decoded_fingerprint(checksums: Iterable[str], starts: Iterable[int], config: ModelConfig) -> str:
    """Sixteen hex digits of what a song's chunks decode to: of a shard's fingerprint all but the form of its file.

    Args:
        checksums: SHA-256 of each recording, the mixture's first.
        starts: Where the chunks start, in samples.
        config: Audio, STFT and chunk settings.
    """
    # That of the default form, so that runs and releases keep the fingerprints that they have.
    return shard_fingerprint(checksums, starts, config.model_copy(update={"cache_format": "tfrecord"}))


def index_settings(config: ModelConfig) -> dict[str, Any]:
    """The shards' settings, and what decides which of their chunks are listed."""
    return {**shard_settings(config), "T": config.segment_frames}


def content_fingerprint(songs: Iterable[tuple[str, int]]) -> str:
    """Sixteen hex digits of what all listed chunks decode to; songs' names count only by their order.

    Args:
        songs: Of each song in the order of the index, its `decoded_fingerprint` and the number of listed chunks.
    """
    digest = hashlib.sha256()
    for fingerprint, num_chunks in songs:
        digest.update(f"{fingerprint}:{num_chunks} ".encode())
    return digest.hexdigest()[:16]
