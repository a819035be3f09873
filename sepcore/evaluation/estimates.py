"""What is scored: the stems of a model, of another program's files, or of a baseline that needs no model."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from socket import gethostname
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import CheckpointError, DatasetError
from sepcore.evaluation.bsseval.signals import Signals, Stems, blocks, filled
from sepcore.evaluation.choices import BaselineName
from sepcore.evaluation.file_fingerprint import file_fingerprint, spectra_fingerprint, stems_fingerprint
from sepcore.evaluation.scoring_config import audio_by_stem, estimate_file
from sepcore.separation.separator import Separator
from sepcore.separation.shared import shared_separator
from sepcore.signal.audio_reader import open_native
from sepcore.signal.blocks import Framing, overlap_add_blocks
from sepcore.signal.masks import ratio_masks
from sepcore.signal.spectrogram import inverse_stft, stft

_logger = logging.getLogger(__name__)


class Estimates(Protocol):
    """What is scored on every track of a test set.

    Attributes:
        name: The name in tables and plots.
        config: Names the stems, their rate and channels.
    """

    name: str
    config: ModelConfig

    def fingerprint(self, row: TrackRow) -> str:
        """Changes with all that the track's estimates depend on besides its audio: files, weights, the config."""
        ...

    def stream(self, row: TrackRow, mixture: Signals, references: Signals) -> Iterator[Stems]:
        """Consecutive pieces of the estimates, ``(stems, samples, channels)`` in the config's order, of any length."""
        ...


class ModelEstimates:
    """A model's stems of the mixture; small when sent to another process, which loads the network once."""

    def __init__(self, separator: Separator) -> None:
        self.name, self.config, self._settings = separator.name, separator.config, separator.settings
        self._separator: Separator | None = separator
        self._fingerprint = separator.fingerprint()

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_separator": None}

    def fingerprint(self, row: TrackRow) -> str:
        """See `Estimates`."""
        return self._fingerprint

    def stream(self, row: TrackRow, mixture: Signals, references: Signals) -> Iterator[Stems]:
        """See `Estimates`; CheckpointError if the weights do not fit the network, or have changed."""
        separator = self._separator or shared_separator(self._settings)
        self._check(separator)
        pieces = (np.ascontiguousarray(block[0], np.float32) for block in blocks(mixture))
        for number, stems in enumerate(separator.stream(pieces)):
            if number == 0:
                self._check(separator)  # now that they are loaded
            yield np.stack([stems[name] for name in self.config.instruments])

    def _check(self, separator: Separator) -> None:
        if separator.fingerprint() != self._fingerprint:
            raise CheckpointError(
                f"the weights on {gethostname()} differ from the weights of {self.name} that are to be scored",
                path=separator.folder,
                hint="They have been changed, or MODEL_PATH names another folder there.",
            )


class FolderEstimates:
    """Audio files of another program: ``<folder>/test/<track>/<stem>.wav``, as museval has them, or without ``test``.

    Other audio is used if there is no wav; see `estimate_file`.
    """

    def __init__(self, folder: Path, config: ModelConfig) -> None:
        self.name, self.config = folder.name, config
        self._folder = folder

    def fingerprint(self, row: TrackRow) -> str:
        """See `Estimates`."""
        return f"{stems_fingerprint(self.config)} {file_fingerprint(self._files(row))}"

    def stream(self, row: TrackRow, mixture: Signals, references: Signals) -> Iterator[Stems]:
        """See `Estimates`.

        Raises:
            DatasetError: a stem is missing, or has another rate or number of channels than the track.
            AudioDecodeError: a file that cannot be read.
        """
        config, zeros = self.config, np.zeros((0, self.config.num_channels), np.float32)
        with ExitStack() as stack:
            opened = []
            for path in self._files(row):
                audio = open_native(path)
                if (audio.sample_rate, audio.num_channels) != (config.sample_rate, config.num_channels):
                    raise DatasetError(
                        f"{row.name}: the estimate has {audio.sample_rate} Hz and {_channels(audio.num_channels)}, the "
                        f"reference {config.sample_rate} Hz and {_channels(config.num_channels)}",
                        path=path,
                        hint="Convert the estimate to match.",
                    )
                opened.append(stack.enter_context(closing(audio.blocks)))
            lengths = np.zeros(len(opened), int)
            for pieces in zip_longest(*opened, fillvalue=zeros):
                longest = max(map(len, pieces))
                lengths += [len(piece) for piece in pieces]
                yield np.concatenate([filled(piece[None], longest) for piece in pieces])
        for name, length in zip(config.instruments, lengths, strict=True):
            missing = mixture.shape[1] - int(length)
            if missing:
                differs = "shorter than the track; filled with zeros" if missing > 0 else "longer than the track; cut"
                _logger.warning("%s: the estimate of %s is %d samples %s", row.name, name, abs(missing), differs)

    def _files(self, row: TrackRow) -> list[Path]:
        folders = [self._folder / "test" / row.name, self._folder / row.name]
        folder = next((folder for folder in folders if folder.is_dir()), None)
        if folder is None:
            raise DatasetError(
                f"no such folder, so {row.name} has no estimates",
                path=folders[0],
                hint="Make it, with an audio file for each stem.",
            )
        found = audio_by_stem(folder)
        missing = [name for name in self.config.instruments if name not in found]
        if missing:
            raise DatasetError(
                f"{row.name} has no estimate of {', '.join(missing)}", path=folder, hint=f"Add {missing[0]}.wav."
            )
        return [estimate_file(row.name, found[name]) for name in self.config.instruments]


def _channels(number: int) -> str:
    return {1: "one channel", 2: "two channels"}.get(number, f"{number} channels")


@dataclass
class UntouchedMixture:
    """The mixture as the estimate of every stem: what doing nothing scores."""

    config: ModelConfig
    name = "mixture"

    def fingerprint(self, row: TrackRow) -> str:
        """See `Estimates`."""
        return stems_fingerprint(self.config)

    def stream(self, row: TrackRow, mixture: Signals, references: Signals) -> Iterator[Stems]:
        """See `Estimates`."""
        for block in blocks(mixture):
            yield np.repeat(block, len(self.config.instruments), axis=0)


@dataclass
class IdealRatioMask:
    """The mixture under masks from the true stems: about the best that a ratio mask can reach.

    Every bin is shared in proportion to the stems' magnitudes to the power of the config's ``separation_exponent``;
    with 2, SiSEC's IRM2.

    References:
        F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 Signal Separation Evaluation Campaign", LVA/ICA 2018.
    """

    config: ModelConfig
    name = "irm"

    def fingerprint(self, row: TrackRow) -> str:
        """See `Estimates`."""
        return spectra_fingerprint(self.config)

    def stream(self, row: TrackRow, mixture: Signals, references: Signals) -> Iterator[Stems]:
        """See `Estimates`."""
        config, num_channels = self.config, mixture.shape[2]
        geometry: dict[str, Any] = {"frame_length": config.frame_length, "hop_length": config.hop_length}

        def masked(samples: NDArray[np.float32]) -> NDArray[np.float32]:
            spectra = stft(samples, **geometry)
            signals = np.stack(np.split(spectra, spectra.shape[2] // num_channels, axis=2))
            masks = ratio_masks(np.abs(signals[1:]), exponent=config.separation_exponent)
            return inverse_stft(masks * signals[0], **geometry)

        # The channels of the mixture and of each stem, as if they were one signal's.
        pieces = (
            np.concatenate([*first, *true], axis=1, dtype=np.float32)
            for first, true in zip(blocks(mixture), blocks(references), strict=True)
        )
        framing = Framing(**geometry, block_frames=config.segment_frames, last_multiple=1)
        return overlap_add_blocks(pieces, masked, framing)


BASELINES: Mapping[BaselineName, type[UntouchedMixture] | type[IdealRatioMask]] = {
    "mixture": UntouchedMixture,
    "irm": IdealRatioMask,
}
"""Estimates that need no model, by the name that asks for them."""
