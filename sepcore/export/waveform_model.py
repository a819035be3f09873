"""A model as one graph, from a waveform of any length to its stems, and as TensorFlow's SavedModel."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.engines.waveform_graph import overlap_add, separate_block
from sepcore.export.complex_waveform import separate_complex_waveform


def separate_waveform(config: ModelConfig, network: Any, waveform: Any, *, matrix_fft: bool) -> dict[str, Any]:
    """Separate by ratio masks, or a complex network's spectra, as `Separator.separate` does, for tensors of a graph.

    Args:
        config: The model's config.
        network: Magnitudes to estimates, or spectra to spectra, see `registry.build_network`.
        waveform: float32 ``(samples, channels)``, of any length.
        matrix_fft: Use `MatrixFFT`, for ONNX, instead of TensorFlow's transforms.

    Returns:
        Every instrument's stem, of the same shape, by name. The network sees a segment at a time, so memory grows with
        the length only by the stems.
    """
    frame, hop = config.frame_length, config.hop_length
    is_complex = config.model.domain == "complex"
    transforms: dict[str, Any] = {"rfft": ops.rfft, "irfft": ops.irfft}
    if matrix_fft:
        # A mask of zeros above F leaves nothing to transform there.
        nothing_above = is_complex or config.mask_extension == "zeros"
        fft = MatrixFFT(frame, config.num_bins if nothing_above else frame // 2 + 1)
        transforms = {"rfft": fft.rfft, "irfft": lambda spectrum, _: fft.irfft(spectrum)}
    if is_complex:
        stems = separate_complex_waveform(config, network, waveform, **transforms)
        return {name: stems[index] for index, name in enumerate(config.instruments)}
    # Framed as `overlap_add_blocks` frames a waveform.
    advance = config.segment_frames * hop
    length = advance - hop + frame
    num_samples = ops.shape(waveform)[0]
    num_frames = (num_samples + frame + hop - 1) // hop
    num_segments = (num_frames + config.segment_frames - 1) // config.segment_frames
    after = num_segments * advance - hop - num_samples
    padded = tf.pad(waveform, [(frame, after), (0, 0)])

    def segment(start: Any) -> Any:
        samples = ops.slice(padded, (start, 0), (length, config.num_channels))
        return ops.transpose(separate_block(network, config, samples, **transforms), (0, 2, 1))

    stems = ops.map(segment, ops.arange(num_segments) * advance)  # (segments, stems, channels, samples)
    stems = overlap_add(ops.transpose(stems, (1, 2, 0, 3)), advance)
    stems = ops.transpose(stems[..., frame : frame + num_samples], (0, 2, 1))
    return {name: stems[index] for index, name in enumerate(config.instruments)}


def save_saved_model(config: ModelConfig, network: Any, folder: Path) -> None:
    """Write the graph from waveform to stems, to be loaded by ``tf.saved_model.load(folder)``.

    The loaded object, and its ``serving_default``, is a function of ``waveform``, float32 ``(samples, channels)`` of
    any length; it returns every instrument's stem, of the same shape, by name.
    """
    signature = [tf.TensorSpec([None, config.num_channels], tf.float32, name="waveform")]

    @tf.function(input_signature=signature, autograph=False)
    def separate(waveform: Any) -> dict[str, Any]:
        return separate_waveform(config, network, waveform, matrix_fft=False)

    module = tf.Module()
    # Only the variables: in the network itself TensorFlow would miss the state of random layers.
    module.state, module.__call__ = [variable.value for variable in network.variables], separate
    tf.saved_model.save(module, str(folder), signatures={"serving_default": separate})


def run_saved_model(folder: Path, waveform: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Load a SavedModel and separate a waveform: stems by name, float32 ``(samples, channels)`` as the waveform."""
    loaded = tf.saved_model.load(str(folder))
    return {name: np.asarray(stem) for name, stem in loaded(tf.constant(waveform)).items()}


class MatrixFFT:
    """Fourier transforms of real frames in two small matrix products: Cooley and Tukey's step, once.

    ONNX has an operator for it, but on it ONNX Runtime 1.32 spends twice the time of 2stems' networks, and where the
    frame's length is no power of two its error is 1.3e-4 of the peak (1536 samples). Matrix products are fast and exact
    everywhere. With ``n = columns * a + b`` and ``k = k1 + rows * k2`` the sum over ``n`` becomes one over ``a``, the
    twiddle factors, and one over ``b``; the inverse is the same backwards.

    Args:
        frame_length: Samples of a frame; even.
        num_bins: How many of the ``frame_length / 2 + 1`` bins are computed, from the lowest on.

    References:
        J. W. Cooley and J. W. Tukey, "An algorithm for the machine calculation of complex Fourier series", 1965.
    """

    def __init__(self, frame_length: int, num_bins: int) -> None:
        self.frame_length, self.num_bins = frame_length, num_bins
        self.rows = max(rows for rows in range(1, math.isqrt(frame_length) + 1) if frame_length % rows == 0)
        self.columns = frame_length // self.rows
        self.bin_columns = -(-num_bins // self.rows)
        first = _roots(self.rows, self.rows, period=self.rows)
        twiddles = _roots(self.rows, self.columns, period=frame_length)
        second = _roots(self.columns, self.bin_columns, period=self.columns)
        # Real and imaginary parts side by side, so that a complex product is one of real matrices.
        self.first = np.concatenate([first.real, first.imag]).astype(np.float32)
        self.cosine, self.sine = twiddles.real.astype(np.float32), twiddles.imag.astype(np.float32)
        self.second = np.block([[second.real, second.imag], [-second.imag, second.real]]).astype(np.float32)

    def rfft(self, frames: Any) -> tuple[Any, Any]:
        """Real frames, float32 ``(channels, frames, frame_length)``, to real and imaginary parts of their bins."""
        channels = frames.shape[0]
        x = ops.matmul(self.first, ops.reshape(frames, (channels, -1, self.rows, self.columns)))
        real, imaginary = x[..., : self.rows, :], x[..., self.rows :, :]
        turned = [real * self.cosine - imaginary * self.sine, real * self.sine + imaginary * self.cosine]
        x = ops.matmul(ops.concatenate(turned, axis=-1), self.second)
        x = ops.reshape(x, (channels, -1, self.rows, 2, self.bin_columns))
        x = ops.transpose(x, (3, 0, 1, 4, 2))
        x = ops.reshape(x, (2, channels, -1, self.bin_columns * self.rows))[..., : self.num_bins]
        return x[0], x[1]

    def irfft(self, spectrum: tuple[Any, Any]) -> Any:
        """Real frames whose transforms have these lowest bins and zeros above.

        Args:
            spectrum: Real and imaginary parts, each float32 ``(stems, channels, frames, num_bins)``.

        Returns:
            float32 ``(stems, channels, frames, frame_length)``.
        """
        stems, channels = spectrum[0].shape[:2]
        missing = self.bin_columns * self.rows - self.num_bins
        # A bin counts for itself and its mirror image above the Nyquist frequency, where there is one.
        weights = np.full(self.num_bins, 2 / self.frame_length, np.float32)
        weights[0] /= 2
        weights[self.frame_length // 2 :] /= 2
        x = ops.stack(spectrum, axis=2) * weights
        x = ops.pad(x, [(0, 0)] * 4 + [(0, missing)])
        x = ops.reshape(x, (stems, channels, 2, -1, self.bin_columns, self.rows))
        x = ops.transpose(x, (0, 1, 3, 5, 2, 4))
        x = ops.matmul(ops.reshape(x, (stems, channels, -1, self.rows, 2 * self.bin_columns)), self.second.T)
        real, imaginary = x[..., : self.columns], x[..., self.columns :]
        turned = [real * self.cosine + imaginary * self.sine, imaginary * self.cosine - real * self.sine]
        x = ops.matmul(self.first.T, ops.concatenate(turned, axis=-2))
        return ops.reshape(x, (stems, channels, -1, self.frame_length))


def _roots(rows: int, columns: int, *, period: int) -> NDArray[np.complex128]:
    """``exp(-2 pi i row column / period)``, in double precision."""
    roots: NDArray[np.complex128] = np.exp(-2j * np.pi * np.outer(np.arange(rows), np.arange(columns)) / period)
    return roots
