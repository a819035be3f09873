"""What every engine does: magnitudes to estimates, and with them samples to stems."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.engines.complex_frames import separate_complex
from sepcore.signal.blocks import Framing, cross_fade, overlap_add_blocks, overlapping_advance
from sepcore.signal.masks import extend_masks, ratio_masks
from sepcore.signal.spectrogram import frame_parts, inverse_stft, stft


class Engine(ABC):
    """One model's network, loaded and compiled, on one runtime.

    A runtime must define `estimate`; STFT, masks and inverse STFT run in numpy unless it has its own. Blocks and masks
    are of magnitude networks; `separate` serves complex ones, too.
    """

    parallel_blocks = 1
    """Blocks to separate at the same time, each in its own thread."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config

    @abstractmethod
    def estimate(self, magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network: magnitudes of the mixture to those of the stems, linear amplitude.

        float32 ``(segments, T, F, channels)`` to ``(segments, stems, T, F, channels)``; of a complex network real and
        imaginary part of each channel in turn, ``2 * channels``.
        """

    def separate(
        self, blocks: Iterable[NDArray[np.float32]], *, overlap: float | None = None
    ) -> Iterator[NDArray[np.float32]]:
        """Separate a waveform of any length by ratio masks, or by the spectra of a complex network, in bounded memory.

        Args:
            blocks: Its consecutive pieces, of any length: float32 ``(samples, config.num_channels)``.
            overlap: Fraction of a segment by which neighbors overlap, 0 to below 1; they are cross-faded. None: the
                config's `default_overlap`.

        Yields:
            Consecutive pieces of the stems, float32 ``(stems, samples, channels)``; in all as many samples as came in.
        """
        overlap = self.config.default_overlap if overlap is None else overlap
        if self.config.model.domain == "complex":
            return separate_complex(self, blocks, overlap=overlap)
        frames = self.config.segment_frames
        framing = Framing(
            block_frames=frames,  # one segment: more cost memory and are hardly faster
            last_multiple=frames,
            advance_frames=overlapping_advance(frames, overlap) if overlap else None,
            **self._geometry,
        )
        weights = cross_fade(frames, framing.advance) if overlap else None

        def separated(samples: NDArray[np.float32]) -> NDArray[np.float32]:
            return self.separate_block(samples, weights)

        return overlap_add_blocks(blocks, separated, framing, threads=self.parallel_blocks)

    def separate_block(
        self, samples: NDArray[np.float32], frame_weights: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Separate the samples of a whole number of segments by ratio masks.

        Args:
            samples: float32 ``((segments * T - 1) * hop_length + frame_length, channels)``.
            frame_weights: Factors of each frame's masks, float32 ``(segments * T,)``; None: 1.

        Returns:
            float32 ``(stems, samples, channels)``; the first and last ``frame_length - hop_length`` samples lack the
            frames of the neighboring blocks.
        """
        config, geometry = self.config, self._geometry
        # With masks of zero above F, nothing above F is computed.
        num_bins = config.num_bins if config.mask_extension == "zeros" else config.frame_length // 2 + 1
        spectrum = stft(samples, num_bins=num_bins, **geometry)
        estimates = join_segments(self.estimate(self.segments(spectrum)))
        stems = np.zeros((len(estimates), *samples.shape), np.float32)
        # A few frames at a time go through all steps in the cache, twice as fast as all frames step by step.
        for part in frame_parts(len(spectrum)):
            masks = ratio_masks(estimates[:, part], exponent=config.separation_exponent)
            masks = extend_masks(masks, num_bins=num_bins, extension=config.mask_extension)
            if frame_weights is not None:
                masks *= frame_weights[part, None, None]
            separated = inverse_stft(masks * spectrum[part], **geometry)
            start = part.start * config.hop_length
            stems[:, start : start + separated.shape[1]] += separated
        return stems

    @property
    def _geometry(self) -> dict[str, Any]:
        return {"frame_length": self.config.frame_length, "hop_length": self.config.hop_length}

    def segments(self, spectrum: NDArray[np.complex64]) -> NDArray[np.float32]:
        """The network's input, ``(segments, T, F, channels)``, from the STFT of a whole number of segments."""
        config = self.config
        shape = (-1, config.segment_frames, config.num_bins, config.num_channels)
        return np.abs(spectrum[:, : config.num_bins]).reshape(shape)


def join_segments(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(segments, stems, T, bins, channels)`` to ``(stems, segments * T, bins, channels)``."""
    stems_first = np.moveaxis(values, 1, 0)
    return stems_first.reshape(stems_first.shape[0], -1, *stems_first.shape[3:])
