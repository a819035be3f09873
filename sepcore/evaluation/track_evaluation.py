"""Estimate and score one track of a manifest, unless the scores of the same estimates are already there."""

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.check.findings import LONGEST_STEM_DIFFERENCE_S, REFUSED_STEM_DIFFERENCE_S
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import DatasetError, OutputNotWritable
from sepcore.evaluation.bsseval.bss_eval import one_blas_thread
from sepcore.evaluation.bsseval.signals import Signals, Spool, spool
from sepcore.evaluation.choices import ScoringEngine
from sepcore.evaluation.estimates import Estimates
from sepcore.evaluation.file_fingerprint import song_fingerprint, songs_fingerprint, stems_fingerprint
from sepcore.evaluation.scores import MadeFrom
from sepcore.evaluation.track_scores import save_track_scores, score_track, track_scores_path
from sepcore.signal.audio_reader import read_blocks
from sepcore.signal.decoder import probe_sndfile
from sepcore.system.atomic import write_text
from sepcore.system.os_errors import DISK_FULL, fix_for, reason_of
from sepcore.training.run_folder import MADE_FROM

# Raised when the scores change or there are more of them, so that tracks are scored again.
_VERSION = 2

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class EstimatedTrack:
    """A track's signals, on disk until the block that made them ends.

    Attributes:
        mixture: ``(1, samples, channels)``.
        references: ``(stems, samples, channels)`` in the config's order.
        estimates: As ``references``.
        cut: A line about stems that differ from the mixture's length by more than 50 ms; empty if none does.
    """

    mixture: Signals
    references: Signals
    estimates: Signals
    cut: str


@contextmanager
def estimated_track(row: TrackRow, estimates: Estimates, folder: Path) -> Iterator[EstimatedTrack]:
    """Decode a track and estimate its stems into temporary files on the disk of ``folder``.

    References that ffmpeg decodes are rounded to 16 bits, as in musdb. Mixture and references are cut to the shortest
    of them; estimates are cut or extended with zeros to that length.

    Raises:
        AudioDecodeError: a recording that cannot be read.
        DatasetError: a stem whose length is more than a second from the mixture's; estimates that are missing or do not
            fit the track.
    """
    config = estimates.config
    num_stems, num_channels = len(config.instruments), config.num_channels
    with (
        spool(folder, 1, num_channels) as mixture,
        spool(folder, num_stems, num_channels) as references,
        spool(folder, num_stems, num_channels) as estimated,
    ):
        cut = _decode(row, config, mixture, references)
        for piece in estimates.stream(row, mixture, references):
            estimated.append(piece)
        estimated.resize(references.shape[1])
        yield EstimatedTrack(mixture, references, estimated, cut)


def evaluate_track(row: TrackRow, estimates: Estimates, folder: Path, engine: ScoringEngine = "fast") -> Path:
    """Score one track as museval does; see `score_track`.

    Returns:
        The score file, ``<folder>/test/<track>.json``; the folder also keeps a note of what the scores were made from.

    Raises:
        AudioDecodeError: a recording that cannot be read.
        DatasetError: stems that do not fit each other, or a file that cannot be opened.
        OutputNotWritable: the disk of ``folder`` is full.
    """
    try:
        path = track_scores_path(folder, row.name)
        made_from = track_made_from(row, estimates) | {"engine": engine, "version": _VERSION}
        marker = folder / MADE_FROM / f"{row.name}.json"
        if path.is_file() and _read(marker) == made_from:
            return path
        config = estimates.config
        with estimated_track(row, estimates, folder) as track, one_blas_thread():  # another track is being separated
            if track.cut:
                _logger.warning("%s", track.cut)
            signals = track.references, track.estimates, track.mixture
            scores = score_track(row.name, config.instruments, *signals, sample_rate=config.sample_rate, engine=engine)
        # If killed from here on, the scores are known to be this project's, but nobody's estimates.
        write_text(marker, json.dumps(None))
        save_track_scores(scores, folder)
        write_text(marker, json.dumps(made_from))
        return path
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise OutputNotWritable(
            f"the scores of {row.name} cannot be written ({reason_of(error)})",
            path=folder,
            errno=error.errno,
            hint=f"{fix_for(error)}, or choose another folder with -o. Songs scored so far were kept; run the same "
            "command again to resume.",
        ) from error


def remove_other_scores(folder: Path, files: Iterable[Path]) -> None:
    """Keep only these score files of an evaluation, since museval's stores read all; other programs' scores stay."""
    kept = set(files)
    for marker in (folder / MADE_FROM).glob("*.json"):
        path = track_scores_path(folder, marker.stem)
        if path not in kept:
            path.unlink(missing_ok=True)
            marker.unlink()


def track_made_from(row: TrackRow, estimates: Estimates) -> dict[str, object]:
    """What a track's estimates and references depend on; DatasetError for a file that cannot be opened."""
    return {
        "model": estimates.fingerprint(row),
        "stems": stems_fingerprint(estimates.config),
        "audio": song_fingerprint(row),
    }


def tracks_made_from(folder: Path, files: Iterable[Path]) -> MadeFrom:
    """What the score files of an evaluation belong to, as `evaluate_track` noted it."""
    markers = [_read(folder / MADE_FROM / file.name) for file in files]
    # A model's is the same for every track; another program's changes with its files.
    models = {str(marker["model"]) for marker in markers}
    model = models.pop() if len(models) == 1 else songs_fingerprint(models)
    return MadeFrom(model, songs_fingerprint(str(marker["audio"]) for marker in markers))


def _decode(row: TrackRow, config: ModelConfig, mixture: Spool, references: Spool) -> str:
    """Read mixture and references together, up to the end of the shortest; returns `EstimatedTrack.cut`."""
    wanted = {"sample_rate": config.sample_rate, "num_channels": config.num_channels}
    rounded = [probe_sndfile(path) is None for _, path in row.stems]
    lengths, ended = np.zeros(len(row.files), int), False
    nothing = np.zeros((0, config.num_channels), np.float32)
    with ExitStack() as stack:
        streams = [stack.enter_context(closing(read_blocks(path, **wanted))) for path in row.files]
        # All but the last block of a signal are of one length.
        for blocks in zip_longest(*streams, fillvalue=nothing):
            sizes = [len(block) for block in blocks]
            lengths += sizes
            if not ended:
                first, *stems = (block[: min(sizes)] for block in blocks)
                stems = [_sixteen_bits(stem) if coarse else stem for stem, coarse in zip(stems, rounded, strict=True)]
                mixture.append(first[None])
                references.append(np.stack(stems))
            ended = ended or min(sizes) < max(sizes)
    if not references.shape[1]:
        raise DatasetError(f"{row.name}: one of its files has no samples", hint="Fix the row.")
    return _checked_lengths(row, lengths, config.sample_rate)


def _checked_lengths(row: TrackRow, lengths: NDArray[np.int_], sample_rate: int) -> str:
    """A line if stems differ from the mixture's length; DatasetError if by so much that they are another song's."""
    names = [name for name, _ in row.stems]
    apart_s = np.abs(lengths[1:] - lengths[0]) / sample_rate
    whole_s, *stems_s = (float(length) for length in lengths / sample_rate)
    differing = [
        f"{name} is {stem_s:.2f} s long"
        for name, stem_s, difference_s in zip(names, stems_s, apart_s, strict=True)
        if difference_s > LONGEST_STEM_DIFFERENCE_S
    ]
    if not differing:
        return ""
    what = f"{row.name}: {', '.join(differing)}, the mixture {whole_s:.2f} s"
    if apart_s.max() > REFUSED_STEM_DIFFERENCE_S:
        raise DatasetError(what, hint="They should be equally long. Correct the row's paths, or cut or pad the files.")
    return f"{what}; scored on the {min(whole_s, *stems_s):.2f} s that all of them have"


def _sixteen_bits(reference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rounded to 16 bits, as musdb gives references to museval.

    Decoded to float, the empty band above a lossy codec's cut-off makes BSSEval's correlation matrix nearly singular:
    on a MUSDB18 song from mp3 the SIR of good vocals was -1.9 dB instead of 15.5. SDR does not depend on it.
    """
    rounded: NDArray[np.float32] = np.rint(reference * np.float32(32768)) / np.float32(32768)
    return rounded


def _read(marker: Path) -> Any:
    return json.loads(marker.read_text("utf-8")) if marker.is_file() else None
