"""Run exported files, and compare what they give with the Keras model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.engines.keras import KerasEngine
from sepcore.errors import ExportError
from sepcore.export.formats import Format

LIMIT = 1e-4
"""Largest difference allowed, as a part of the peak; float32 arithmetic in another order gives 1e-6."""

_SEGMENTS = 1.4  # the second one is cut short, as in a song
_SEED = 0

Arrays = Mapping[str, NDArray[np.float32]]


def export_difference(form: Format, config: ModelConfig, network: Any, folder: Path) -> float:
    """Run the exported files in ``folder`` on a seeded signal, and compare their stems with the network's.

    Returns the largest difference over all stems as a part of the peak; ExportError if it is above `LIMIT`.
    """
    if form == "sherpa-onnx":
        return largest_difference(*_estimates(config, network, folder))
    waveform = seeded_waveform(config)
    network.compile(jit_compile=False)
    stems = np.concatenate(list(KerasEngine(config, network).separate([waveform])), axis=1)
    expected = dict(zip(config.instruments, stems, strict=True))
    if form == "savedmodel":
        from sepcore.export.waveform_model import run_saved_model

        return largest_difference(expected, run_saved_model(folder, waveform))
    from sepcore.export.onnx_conversion import load_onnx

    actual = load_onnx(folder / "model.onnx")(waveform=waveform)
    return largest_difference(expected, dict(zip(config.instruments, actual, strict=True)))


def largest_difference(expected: Arrays, actual: Arrays) -> float:
    """The largest difference between arrays of the same names, as a part of the expected peak.

    ExportError if it is above `LIMIT` or not a number, or names or shapes differ.
    """
    shapes, expected_shapes = ({name: array.shape for name, array in arrays.items()} for arrays in (actual, expected))
    if shapes != expected_shapes:
        raise ExportError(
            f"the exported model gives {shapes}, the Keras model {expected_shapes}", hint="Nothing was written."
        )
    peak = max(float(np.abs(array).max()) for array in expected.values())
    difference = max(float(np.abs(array - actual[name]).max()) for name, array in expected.items())
    relative = difference / peak if peak else difference
    if not relative <= LIMIT:  # NaN too
        raise ExportError(
            f"the exported model differs from the Keras model by {relative:.0e} of the peak, allowed is {LIMIT:.0e}",
            hint="Nothing was written. Try another --format.",
        )
    return relative


def seeded_waveform(config: ModelConfig) -> NDArray[np.float32]:
    """Noise that swells and falls silent, float32 ``(samples, channels)``: one segment and a part, no whole frames."""
    samples = int(_SEGMENTS * config.segment_frames * config.hop_length) + 1
    noise = np.random.default_rng(_SEED).uniform(-0.5, 0.5, (samples, config.num_channels))
    swell = np.maximum(np.sin(np.linspace(0, 3 * np.pi, samples)), 0)
    return (noise * swell[:, None]).astype(np.float32)


def _estimates(config: ModelConfig, network: Any, folder: Path) -> tuple[Arrays, Arrays]:
    """What the network and every instrument's file give for the same magnitudes."""
    from sepcore.export.onnx_conversion import load_onnx

    shape = (2, config.segment_frames, config.num_bins, config.num_channels)
    magnitudes = np.random.default_rng(_SEED).exponential(10, shape).astype(np.float32)
    estimates = np.asarray(network(magnitudes, training=False)).transpose(1, 4, 0, 2, 3)
    expected = dict(zip(config.instruments, estimates, strict=True))
    x = np.ascontiguousarray(magnitudes.transpose(3, 0, 1, 2))
    return expected, {name: load_onnx(folder / f"{name}.onnx")(x=x)[0] for name in expected}
