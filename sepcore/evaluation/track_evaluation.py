"""One track of a manifest separated and scored, unless its scores by the same model are there already."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sepcore.atomic import write_text
from sepcore.config import ModelConfig
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import DatasetError
from sepcore.evaluation.track_scores import save_track_scores, score_track, track_scores_path
from sepcore.signal.audio_reader import read_waveform

Waveform = NDArray[np.float32]


class SeparatesWaveforms(Protocol):
    """What is scored: `sepcore.Separator`, or anything that separates."""

    config: ModelConfig

    def separate(self, waveform: Waveform) -> Mapping[str, Waveform]:
        """Stems of a whole waveform, ``(samples, channels)`` each."""
        ...

    def fingerprint(self) -> str:
        """Changes when the stems of the same waveform would."""
        ...


def evaluate_track(row: TrackRow, separator: SeparatesWaveforms, folder: Path) -> Path:
    """Score one track as museval does, its references at 16 bits as musdb has them; see `score_track`.

    Args:
        row: The track, with a stem for each of the model's instruments.
        separator: The model.
        folder: Of the evaluation: scores go to ``test/<track>.json``, beside it what they were made from.

    Returns:
        The score file.

    Raises:
        AudioDecodeError: a recording that cannot be read.
        DatasetError: stems that do not fit each other, or a file that cannot be opened.
    """
    path = track_scores_path(folder, row.name)
    made_from = {"model": separator.fingerprint(), "audio": _audio_fingerprint(row)}
    marker = folder / "made_from" / f"{row.name}.json"
    if path.is_file() and _read(marker) == made_from:
        return path
    config = separator.config
    mixture, *stems = (
        read_waveform(file, sample_rate=config.sample_rate, num_channels=config.num_channels) for file in row.files
    )
    length = min(len(waveform) for waveform in (mixture, *stems))
    references = {name: _sixteen_bits(stem[:length]) for (name, _), stem in zip(row.stems, stems, strict=True)}
    estimates = separator.separate(mixture[:length])
    frames = score_track(row.name, references, estimates, mixture[:length], sample_rate=config.sample_rate)
    save_track_scores(frames, folder)
    write_text(marker, json.dumps(made_from))
    return path


def _audio_fingerprint(row: TrackRow) -> str:
    """Sixteen hex digits of every byte of a track's files, in their order."""
    digest = hashlib.sha256()
    for path in row.files:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise DatasetError(f"{row.name}: {path} cannot be read ({error.strerror}); mend the row.") from error
    return digest.hexdigest()[:16]


def _sixteen_bits(reference: Waveform) -> Waveform:
    """Rounded to 16 bits, as musdb hands references to museval.

    Decoded to float, the empty band above a lossy codec's cut-off makes BSSEval's correlation matrix all but singular:
    on a MUSDB18 song from mp3 the SIR of good vocals came out as -1.9 dB instead of 15.5. SDR does not depend on it.
    """
    rounded: Waveform = np.rint(reference * np.float32(32768)) / np.float32(32768)
    return rounded


def _read(marker: Path) -> Any:
    return json.loads(marker.read_text("utf-8")) if marker.is_file() else None
