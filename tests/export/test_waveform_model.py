import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from sepcore.export.waveform_model import MatrixFFT, run_saved_model, save_saved_model
from tests.export.conftest import VARIANTS, check_stems, noise, random_network, separated
from tests.models import SMALL_BLSTM, SMALL_SOFTMAX, SMALL_UNET, TINY, small_config


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "variant"),
    [*((TINY, variant) for variant in VARIANTS), (SMALL_UNET, "zeros"), (SMALL_SOFTMAX, "mono"), (SMALL_BLSTM, "wide")],
)
def test_it_gives_the_stems_of_the_keras_model_at_any_length(model, variant, tmp_path):
    config = small_config(model=model, **VARIANTS[variant])
    network = random_network(config)
    save_saved_model(config, network, tmp_path)
    loaded = tf.saved_model.load(str(tmp_path))
    check_stems(lambda waveform: {name: stem.numpy() for name, stem in loaded(waveform).items()}, config, network)


@pytest.mark.slow
def test_its_serving_signature_takes_a_waveform_and_gives_stems_by_name(tmp_path):
    config = small_config(model=TINY)
    network = random_network(config)
    save_saved_model(config, network, tmp_path)
    stems = tf.saved_model.load(str(tmp_path)).signatures["serving_default"](waveform=tf.constant(noise(5000)))
    for name, expected in separated(config, network, noise(5000)).items():
        np.testing.assert_allclose(stems[name], expected, atol=1e-6)


@pytest.mark.slow
def test_dropout_does_not_drop(tmp_path):
    config = small_config(model=TINY, dropout=0.9)
    network = random_network(config)
    save_saved_model(config, network, tmp_path)
    expected = separated(config, network, noise(5000))
    for name, stem in run_saved_model(tmp_path, noise(5000)).items():
        np.testing.assert_allclose(stem, expected[name], atol=1e-6)


_ELSEWHERE = """
import sys
import numpy as np
import tensorflow as tf
stems = tf.saved_model.load(sys.argv[1])(np.load(sys.argv[2]))
np.savez(sys.argv[3], **{name: stem.numpy() for name, stem in stems.items()})
assert "sepcore" not in sys.modules
"""


@pytest.mark.slow
def test_it_runs_without_this_project(tmp_path):
    config = small_config(model=SMALL_UNET)
    network = random_network(config)
    save_saved_model(config, network, tmp_path / "model")
    np.save(tmp_path / "mixture.npy", noise(5000))
    command = [sys.executable, "-I", "-c", _ELSEWHERE, "model", "mixture.npy", "stems.npz"]
    subprocess.run(command, cwd=tmp_path, check=True)
    with np.load(tmp_path / "stems.npz") as stems:
        for name, expected in separated(config, network, noise(5000)).items():
            np.testing.assert_allclose(stems[name], expected, atol=1e-6)


# Powers of two, Spleeter's and another; 32 * 48; 14 * 73; 2 * a prime.
FRAME_LENGTHS = [512, 4096, 1536, 1022, 254]


def frames(frame_length):
    return np.random.default_rng(0).uniform(-1, 1, (2, 3, frame_length)).astype(np.float32)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.01])
@pytest.mark.parametrize("frame_length", FRAME_LENGTHS)
def test_the_lowest_bins_are_numpys(frame_length, share):
    num_bins = max(int(share * (frame_length // 2 + 1)), 1)
    signal = frames(frame_length)
    real, imaginary = MatrixFFT(frame_length, num_bins).rfft(signal)
    expected = np.fft.rfft(signal)[..., :num_bins]
    spectrum = np.asarray(real) + 1j * np.asarray(imaginary)
    np.testing.assert_allclose(spectrum, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("share", [1.0, 0.5, 0.01])
@pytest.mark.parametrize("frame_length", FRAME_LENGTHS)
def test_the_inverse_of_the_lowest_bins_is_numpys_with_zeros_above(frame_length, share):
    num_bins = max(int(share * (frame_length // 2 + 1)), 1)
    spectrum = np.fft.rfft(frames(frame_length))[None, ..., :num_bins]
    parts = spectrum.real.astype(np.float32), spectrum.imag.astype(np.float32)
    expected = np.fft.irfft(spectrum, frame_length)
    signal = np.asarray(MatrixFFT(frame_length, num_bins).irfft(parts))
    np.testing.assert_allclose(signal, expected, rtol=0, atol=2e-6 * np.abs(expected).max())
