"""SCNet as a model on disk, on both engines, through the whole separation."""

import json

import numpy as np
import pytest

from sepcore.engines.openvino import OpenVinoEngine
from sepcore.networks.stored_tensors import load_tensors, tensor_shapes
from sepcore.networks.tensor_bundle import write_tensor_bundle
from sepcore.separation.separator import Separator
from tests.golden import GOLDEN
from tests.networks.scnet_cases import oracle_config, scnet_config, state_dict

CASES = {case["name"]: case for case in json.loads((GOLDEN / "scnet" / "cases.json").read_text())}
CENTERED = {"stft_padding": "centered", "stft_window": "rectangular", "stft_normalized": True}


@pytest.fixture
def model(tmp_path):
    """Makes a model's folder of drawn weights, and names its config."""

    def make(**keys):
        config = scnet_config({"dims": [4, 4, 8], "num_dplayer": 2}, stems=3, frames=16, bins=65, **keys)
        shapes, rng = tensor_shapes(config), np.random.default_rng(5)
        tensors = {name: (0.2 * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}
        write_tensor_bundle(tmp_path / "model", tensors)
        (tmp_path / "config.json").write_text(config.model_copy(update={"model_dir": str(tmp_path)}).to_json(), "utf-8")
        return str(tmp_path / "config.json")

    return make


@pytest.mark.parametrize("name", CASES)
def test_openvino_gives_the_stems_of_the_pytorch_code(name, tmp_path):
    file = GOLDEN / "scnet" / f"{name}.npz"
    write_tensor_bundle(tmp_path / "model", state_dict(file))
    config = oracle_config(CASES[name])
    engine = OpenVinoEngine(config, load_tensors(tensor_shapes(config), tmp_path)[0])
    with np.load(file) as stored:
        stems = engine.estimate(stored["spectra"])
        assert np.abs(stems - stored["stems"]).max() < 1e-4 * np.abs(stored["stems"]).max()


@pytest.mark.parametrize("keys", [{}, CENTERED, {"mixture_consistency": True}])
@pytest.mark.parametrize("mwf", [False, True])
def test_both_engines_give_the_same_stems_streamed_or_whole(model, keys, mwf):
    config = model(**keys)
    openvino, tensorflow = (Separator(config, engine=engine, mwf=mwf) for engine in ("openvino", "tensorflow"))
    assert openvino.settings.overlap == 0.25
    waveform = np.random.default_rng(1).uniform(-0.5, 0.5, (5000, 2)).astype(np.float32)
    stems, others = openvino.separate(waveform), tensorflow.separate(waveform)
    peak = max(np.abs(stem).max() for stem in stems.values())
    pieces = list(openvino.stream(np.split(waveform, [1, 700, 3333])))
    for name, stem in stems.items():
        np.testing.assert_allclose(others[name], stem, atol=(1e-3 if mwf else 1e-5) * peak)
        assert np.array_equal(np.concatenate([piece[name] for piece in pieces]), stem)
    if keys.get("mixture_consistency") and not mwf:
        np.testing.assert_allclose(sum(stems.values()), waveform, atol=1e-5)


def test_overlap_decides_what_is_separated_anew(model):
    config = model()
    prints = {Separator(config, overlap=overlap, load=False).fingerprint() for overlap in (None, 0.25, 0.0, 0.5)}
    assert len(prints) == 3
    consistent = Separator(config, overrides={"mixture_consistency": True}, load=False).fingerprint()
    assert consistent not in prints
