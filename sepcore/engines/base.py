"""What every engine does: magnitudes to estimates, and, around that, a block of samples to stems."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from sepcore.config import ModelConfig
from sepcore.signal.blocks import overlap_add_blocks
from sepcore.signal.masks import extend_masks, ratio_masks
from sepcore.signal.spectrogram import inverse_stft, stft


class Engine(ABC):
    """One model's network, loaded and compiled, on one runtime.

    A runtime has to offer `estimate`; STFT, masks and inverse STFT around it are numpy's unless it brings its own.
    """

    block_segments = 1
    """Segments handed over at once; on CPUs more only cost memory (47, 46, 43 times real time for 1, 2, 4)."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config

    @abstractmethod
    def estimate(self, magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network.

        Args:
            magnitudes: Of the mixture, linear amplitude; float32 ``(segments, T, F, channels)``.

        Returns:
            Estimated magnitudes of the stems, float32 ``(segments, stems, T, F, channels)``.
        """

    def separate(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Separate a waveform of any length by ratio masks, in bounded memory, however it is cut into pieces.

        Args:
            blocks: Its consecutive pieces, of any length: float32 ``(samples, config.num_channels)``.

        Yields:
            Consecutive pieces of the stems, float32 ``(stems, samples, channels)``; in all as many samples as came in.
        """
        config = self.config
        return overlap_add_blocks(
            blocks,
            self.separate_block,
            frame_length=config.frame_length,
            hop_length=config.hop_length,
            block_frames=config.segment_frames * self.block_segments,
            last_multiple=config.segment_frames,
        )

    def separate_block(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Separate the samples under a whole number of segments by ratio masks.

        Args:
            samples: float32 ``((segments * T - 1) * hop_length + frame_length, channels)``.

        Returns:
            float32 ``(stems, samples, channels)``; the first and last ``frame_length - hop_length`` samples lack what
            the neighbouring blocks' frames add to them.
        """
        config = self.config
        spectrum = stft(samples, frame_length=config.frame_length, hop_length=config.hop_length)
        masks = ratio_masks(self.estimate(self.segments(spectrum)), exponent=config.separation_exponent)
        masks = extend_masks(masks, num_bins=spectrum.shape[1], extension=config.mask_extension)
        stems = join_segments(masks) * spectrum
        return inverse_stft(stems, frame_length=config.frame_length, hop_length=config.hop_length)

    def segments(self, spectrum: NDArray[np.complex64]) -> NDArray[np.float32]:
        """Magnitudes that the network sees, ``(segments, T, F, channels)``, of a whole number of segments."""
        config = self.config
        shape = (-1, config.segment_frames, config.num_bins, config.num_channels)
        return np.abs(spectrum[:, : config.num_bins]).reshape(shape)


def join_segments(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(segments, stems, T, bins, channels)`` to ``(stems, segments * T, bins, channels)``."""
    stems_first = np.moveaxis(values, 1, 0)
    return stems_first.reshape(stems_first.shape[0], -1, *stems_first.shape[3:])
