"""Fingerprints of cached chunks: they change when the audio does, or what is done to it."""

import hashlib
import json
from typing import Any

from sepcore.config import ModelConfig
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import DatasetError

# Goes up when chunks are computed or stored in another way, so that caches of before are not taken for new.
_FORMAT_VERSION = 1


def chunk_settings(config: ModelConfig) -> dict[str, Any]:
    """What a chunk's content depends on beside the audio, under the keys of the config's JSON."""
    return {
        "format": _FORMAT_VERSION,
        "instrument_list": list(config.instruments),
        "sample_rate": config.sample_rate,
        "n_channels": config.num_channels,
        "frame_length": config.frame_length,
        "frame_step": config.hop_length,
        "F": config.num_bins,
        "T": config.segment_frames,  # chunks shorter than it are not kept
        "chunk_duration": config.chunk_duration_s,
    }


def song_fingerprint(row: TrackRow, config: ModelConfig, *, num_chunks: int) -> str:
    """Sixteen hex digits of a song's name, duration and audio files (every byte of them) and of the chunk settings.

    Raises:
        DatasetError: a file that cannot be read.
    """
    # The row's duration places the chunks.
    settings = {**chunk_settings(config), "chunks": num_chunks, "song": row.name, "duration": row.duration_s}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in row.files:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise DatasetError(f"{row.name}: {path} cannot be read ({error.strerror}); mend the row.") from error
    return digest.hexdigest()[:16]
