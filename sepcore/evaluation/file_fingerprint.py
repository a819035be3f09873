"""Fingerprints of audio files, and of the config keys that decide what is scored: 16 hex digits that tell changes."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from sepcore.config.model_config import ModelConfig
from sepcore.config.separation import SeparationKeys
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import DatasetError
from sepcore.provider.checksum import known_sha256
from sepcore.system.os_errors import fix_for, reason_of


def file_fingerprint(files: Iterable[Path]) -> str:
    """Of every byte of the files, in their order; DatasetError if one cannot be opened."""
    digest = hashlib.sha256()
    for path in files:
        try:
            digest.update(bytes.fromhex(known_sha256(path)))
        except OSError as error:
            raise DatasetError(
                f"cannot be read ({reason_of(error)})",
                path=path,
                errno=error.errno,
                hint=f"{fix_for(error, reading=True)}, or correct the row that names it.",
            ) from error
    return digest.hexdigest()[:16]


def song_fingerprint(row: TrackRow) -> str:
    """Of all audio of a song, in whatever order a config names its stems; errors as in `file_fingerprint`."""
    return file_fingerprint((row.mixture, *(path for _, path in sorted(row.stems))))


def songs_fingerprint(songs: Iterable[str]) -> str:
    """Of a set of songs, from the fingerprint of each, in any order."""
    return _digest(sorted(songs))


def stems_fingerprint(config: ModelConfig) -> str:
    """Of the keys that define the scored signals: the stems in their order, their rate and channels."""
    return _digest([*config.instruments, str(config.sample_rate), str(config.num_channels)])


def spectra_fingerprint(config: ModelConfig) -> str:
    """Of all keys that decide what is separated on which spectrograms, except the network.

    It changes with every key that an estimate depends on, and perhaps with others.
    """
    elsewhere = {"mix_name", "model", "model_dir", "mwf", *config.foreign_keys}
    return _digest(config.model_dump(mode="json", include=set(SeparationKeys.model_fields) - elsewhere))


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
