"""What scores are set beside: what doing nothing gives, and about the best that a ratio mask can."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.manifest import TrackRow
from sepcore.evaluation.bsseval.signals import Signals, Stems, blocks
from sepcore.evaluation.choices import BaselineName
from sepcore.evaluation.file_fingerprint import spectra_fingerprint, stems_fingerprint
from sepcore.signal.blocks import Framing, overlap_add_blocks
from sepcore.signal.masks import ratio_masks
from sepcore.signal.spectrogram import inverse_stft, stft


class UntouchedMixture:
    """The mixture as the estimate of every stem: what doing nothing scores."""

    name = "mixture"

    def __init__(self, config: ModelConfig) -> None:
        self.config = config

    def fingerprint(self, row: TrackRow) -> str:
        """See `Estimates`."""
        return stems_fingerprint(self.config)

    def stream(self, row: TrackRow, mixture: Signals, references: Signals) -> Iterator[Stems]:
        """See `Estimates`."""
        for block in blocks(mixture):
            yield np.repeat(block, len(self.config.instruments), axis=0)


class IdealRatioMask:
    """The mixture under the masks that the true stems give: about the best that a ratio mask can reach.

    Every bin is shared in proportion to the stems' magnitudes to the power of the config's ``separation_exponent``;
    with 2, SiSEC's IRM2.

    References:
        F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 Signal Separation Evaluation Campaign", LVA/ICA 2018.
    """

    name = "irm"

    def __init__(self, config: ModelConfig) -> None:
        self.config = config

    def fingerprint(self, row: TrackRow) -> str:
        """See `Estimates`."""
        return spectra_fingerprint(self.config)

    def stream(self, row: TrackRow, mixture: Signals, references: Signals) -> Iterator[Stems]:
        """See `Estimates`."""
        config, num_channels = self.config, mixture.shape[2]
        geometry = {"frame_length": config.frame_length, "hop_length": config.hop_length}

        def masked(samples: NDArray[np.float32]) -> NDArray[np.float32]:
            spectra = stft(samples, **geometry)
            signals = np.stack(np.split(spectra, spectra.shape[2] // num_channels, axis=2))
            masks = ratio_masks(np.abs(signals[1:]), exponent=config.separation_exponent)
            return inverse_stft(masks * signals[0], **geometry)

        # The mixture's channels and then each stem's, as if they were one signal's.
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
