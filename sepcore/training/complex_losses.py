"""Losses between the spectra that a complex network estimates and the true ones.

They compare what the network itself gives. ``mixture_consistency`` belongs to separation alone: so it decides no
weights, and any model may be separated with it or without.

Losses of waveforms take the inverse STFT of both inside the step. It is linear, and exact where all frames cover the
waveform, so that the estimate is compared with the target's own waveform; with ``F`` below all bins, with what the bins
below ``F`` hold of it, since what lies above is nothing that the network could give.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from sepcore.config.model_config import ModelConfig
from sepcore.config.training import MULTI_STFT_LENGTHS
from sepcore.signal.windows import analysis_window, synthesis_window
from sepcore.training.device_stft import inverse_stft, stft
from sepcore.training.spectra import spectrum_divisor

StemLosses = Callable[[Any, Any], Any]
"""From targets and estimates, float32 ``(batch, stems, T, F, 2 * channels)``, to ``(batch, stems)``."""

# Three quarters of the frames of `multi_stft` overlap, as in DDSP.
_OVERLAP = 4
# The axes that are averaged over: examples and stems are two in spectra, one in waveforms and their magnitudes.
_OF_SPECTRA, _OF_WAVEFORMS, _OF_MAGNITUDES = (2, 3, 4), (1, 2), (1, 2, 3)
_TINY = float(np.finfo(np.float32).tiny)


def complex_stem_losses(config: ModelConfig) -> StemLosses:
    """The error of each example and stem by the config's ``loss_type``.

    - ``L1_complex``: mean absolute error over real and imaginary parts.
    - ``RMSE_complex``: root of the mean square error over them; SCNet's, which takes it of the STFT of the estimate's
      waveform, and averages over the stems, which are added up here as by every loss.
    - ``L1_waveform``: mean absolute error of the waveforms, over the samples that all their frames cover.
    - ``multi_stft``: the same, and the mean absolute error of the magnitudes of those waveforms' STFTs with Hann
      windows of 2048, 1024 and 512 samples, averaged over the three. They are divided by the root of the window's
      energy, so that noise has magnitudes of its own level at each size, and both parts weigh about the same.

    Gradients are finite everywhere: they are zero where a root's argument is zero, as for a silent stem that is
    estimated as silence.

    References:
        W. Tong et al., "SCNet: sparse compression network for music source separation", ICASSP 2024.
        R. Yamamoto et al., "Parallel WaveGAN", ICASSP 2020 (the sizes); J. Engel et al., "DDSP: differentiable digital
        signal processing", ICLR 2020 (linear magnitudes, the overlap).
    """
    losses: dict[str, StemLosses] = {
        "L1_complex": lambda targets, estimates: ops.mean(ops.abs(estimates - targets), axis=_OF_SPECTRA),
        "RMSE_complex": lambda targets, estimates: _root(ops.mean(ops.square(estimates - targets), axis=_OF_SPECTRA)),
        "L1_waveform": _waveform_loss(config),
        "multi_stft": _multi_stft_loss(config),
    }
    return losses[config.loss_type]


def _waveform_loss(config: ModelConfig) -> StemLosses:
    def loss(targets: Any, estimates: Any) -> Any:
        errors = ops.abs(covered_waveforms(estimates - targets, config))
        return _by_stem(ops.mean(errors, axis=_OF_WAVEFORMS), targets)

    return loss


def _multi_stft_loss(config: ModelConfig) -> StemLosses:
    windows = [analysis_window("hann", length) for length in MULTI_STFT_LENGTHS]
    windows = [window / np.sqrt(np.square(window).sum()) for window in windows]

    def loss(targets: Any, estimates: Any) -> Any:
        true, estimated = covered_waveforms(targets, config), covered_waveforms(estimates, config)
        losses = [
            ops.mean(ops.abs(_magnitudes(estimated, window) - _magnitudes(true, window)), axis=_OF_MAGNITUDES)
            for window in windows
        ]
        of_waveforms = ops.mean(ops.abs(estimated - true), axis=_OF_WAVEFORMS)
        return _by_stem(of_waveforms + sum(losses) / len(losses), targets)

    return loss


def _magnitudes(waveforms: Any, window: Any) -> Any:
    real, imaginary = stft(waveforms, window, len(window) // _OVERLAP)
    return _root(ops.square(real) + ops.square(imaginary))


def covered_waveforms(spectra: Any, config: ModelConfig) -> Any:
    """The inverse STFT of a segment's spectra, ``(batch, stems, T, F, 2 * channels)``.

    float32 ``(batch * stems, channels, config.covered_samples)``: from ``frame_length - hop_length`` samples after the
    segment's first one to as many before its last, where all frames are there.
    """
    shape = (-1, config.segment_frames, config.num_bins, config.num_channels, 2)
    by_part = ops.transpose(ops.reshape(spectra, shape), (4, 0, 3, 1, 2))
    window = synthesis_window(config.stft_window, config.frame_length, config.hop_length) * spectrum_divisor(config)
    return inverse_stft((by_part[0], by_part[1]), window, config.hop_length)


def _by_stem(losses: Any, targets: Any) -> Any:
    return ops.reshape(losses, (-1, targets.shape[1]))


def _root(squares: Any) -> Any:
    """The square root, whose gradient at zero is zero instead of infinite: times the square's, it would be NaN."""
    # Smaller ones than normal numbers count as zero on some devices and not on others. NaN stays NaN.
    silent = squares < _TINY
    return ops.where(silent, 0.0, ops.sqrt(ops.where(silent, 1.0, squares)))
