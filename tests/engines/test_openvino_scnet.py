import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sepcore.config.load import parse_config
from sepcore.engines.openvino import OpenVinoEngine
from sepcore.errors import ConfigError
from sepcore.networks.registry import build_network
from sepcore.networks.scnet_geometry import level_bands
from sepcore.networks.scnet_tensors import scnet_shapes
from sepcore.networks.spleeter_checkpoint import read_checkpoint
from sepcore.networks.tensor_bundle import write_tensor_bundle
from tests.engines.scnet_reference import scnet

pytestmark = pytest.mark.slow

SMALL = {"dims": [4, 8, 12], "num_dplayer": 2}
CASES = {
    "stereo": {},
    "mono, one stem": {"n_channels": 1, "instrument_list": ["vocals"], "model": {**SMALL, "dims": [2, 8]}},
    "other bands": {"model": {**SMALL, "band_SR": [0.3, 0.3, 0.4], "band_stride": [1, 2, 5], "band_kernel": [5, 2, 5]}},
    "kernels that overlap": {"F": 135, "model": {**SMALL, "dims": [4, 8], "band_kernel": [3, 5, 16]}},
    "wider": {"model": {**SMALL, "expand": 2, "compress": 3, "conv_kernel": 5, "conv_depths": [1, 2, 1]}},
    "four transforms": {"T": 6, "model": {**SMALL, "num_dplayer": 4}},
    "two frames": {"T": 2},
    "standardized": {"model": {**SMALL, "standardize": True}},
}


def small_config(**keys):
    content = {
        "instrument_list": ["vocals", "drums", "bass"],
        "frame_length": 512,
        "frame_step": 128,
        "T": 10,
        "F": 257,
    }
    params = keys.pop("model", SMALL)
    return parse_config(
        json.dumps({**content, **keys, "model": {"type": "scnet.scnet", "params": params}}), "small.json"
    )


def tensors(config, seed=0):
    rng = np.random.default_rng(seed)
    shapes = scnet_shapes(config.model.params, len(config.instruments))
    return {name: 0.2 * rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def spectra(config, segments=1, seed=1):
    shape = (segments, config.segment_frames, config.num_bins, 2 * config.num_channels)
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def reference(segment, weights, config):
    planes = segment.transpose(2, 1, 0)
    stems = scnet(planes, weights, config.model.params)
    return stems.reshape(len(config.instruments), *planes.shape).transpose(0, 3, 2, 1)


@pytest.mark.parametrize("keys", CASES.values(), ids=CASES)
def test_spectra_are_those_of_the_paper(keys):
    config = small_config(**keys)
    weights, mixture = tensors(config), spectra(config, segments=2)
    stems = OpenVinoEngine(config, weights).estimate(mixture)
    assert stems.shape == (2, len(config.instruments), *mixture.shape[1:])
    assert stems.dtype == np.float32
    for segment, estimate in zip(mixture, stems, strict=True):
        expected = reference(segment, weights, config)
        np.testing.assert_allclose(estimate, expected, atol=3e-5 * np.abs(expected).max())


LEVELS = [(0.0, 1.0), (0.0, 1e-4), (3.0, 0.1), (-0.2, 100.0)]


@pytest.mark.parametrize(("shift", "scale"), LEVELS)
def test_standardized_spectra_of_any_level_are_those_of_the_author_in_both_engines(shift, scale, tmp_path):
    config = small_config(model={**SMALL, "standardize": True})
    weights, mixture = tensors(config), shift + scale * spectra(config, segments=2)
    network = build_network(config)
    write_tensor_bundle(tmp_path / "model", weights)
    read_checkpoint(network, tmp_path)
    for stems in (OpenVinoEngine(config, weights).estimate(mixture), np.asarray(network(mixture))):
        for segment, estimate in zip(mixture, stems, strict=True):
            expected = reference(segment, weights, config)
            np.testing.assert_allclose(estimate, expected, atol=1e-5 * np.abs(expected).max())


def test_standardized_silence_has_finite_stems():
    config = small_config(model={**SMALL, "standardize": True})
    silence = np.zeros_like(spectra(config))
    assert not OpenVinoEngine(config, tensors(config)).estimate(silence).any()


def test_in_bfloat16_statistics_are_those_of_float32():
    config = small_config(model={**SMALL, "standardize": True})
    exact, near = (OpenVinoEngine(config, tensors(config), precision=each) for each in ("float32", "bfloat16"))
    mixture = spectra(config)
    for shift, scale in LEVELS:
        expected = exact.estimate(shift + scale * mixture)
        error = near.estimate(shift + scale * mixture) - expected
        assert np.std(error) < 0.05 * np.std(expected)
        # Rounded to bfloat16, mean and deviation would be off by up to 1 in 256, and the stems with them.
        assert abs(np.mean(error)) < 1e-3 * np.std(expected)


def test_threads_that_estimate_at_once_get_their_own_stems_and_keep_them():
    config = small_config()
    engine = OpenVinoEngine(config, tensors(config))
    inputs = [spectra(config, seed=seed) for seed in range(8)]
    alone = [engine.estimate(each) for each in inputs]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(alone, pool.map(engine.estimate, inputs), strict=True):
            np.testing.assert_array_equal(one, other)


def test_bfloat16_stays_near():
    config = small_config()
    exact, near = (OpenVinoEngine(config, tensors(config), precision=each) for each in ("float32", "bfloat16"))
    expected = exact.estimate(spectra(config))
    assert np.std(near.estimate(spectra(config)) - expected) < 0.05 * np.std(expected)


@pytest.mark.parametrize("keys", [{"F": 2}, {"F": 256, "model": {**SMALL, "band_kernel": [3, 4, 18]}}])
def test_bins_that_do_not_fill_the_bands_are_refused(keys):
    config = small_config(**keys)
    with pytest.raises(ConfigError):
        OpenVinoEngine(config, tensors(config))


def test_the_authors_bands_are_those_of_the_paper():
    levels = level_bands(small_config().model.params.model_copy(update={"dims": (4, 32, 64, 128)}), 2049)
    assert [sum(band.reduced for band in bands) for bands in levels] == [616, 186, 57]
