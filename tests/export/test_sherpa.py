import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from sepcore import Separator
from sepcore.export.destination import open_destination
from sepcore.export.exporter import export_model
from sepcore.export.sherpa import convert_for_sherpa
from sepcore.provider.resolve import locate_model
from sepcore.signal.audio_reader import read_waveform
from tests.export.conftest import kernels_of, noise, random_network, separated
from tests.models import SMALL_SOFTMAX, SMALL_UNET, small_config

pytestmark = pytest.mark.slow

SPLEETERS = {"sample_rate": 44100, "frame_length": 4096, "frame_step": 1024, "T": 512, "F": 1024, "chunk_duration": 20}
FRAME, SEGMENT = 4096, 512 * 1024  # samples


def stems_of_sherpa(folder, waveform, tmp_path):
    """Stems by the real sherpa-onnx, given the frame of zeros in front that Spleeter has there.

    sherpa-onnx starts without one, which moves its segments by four frames, and ends with the last whole frame.
    """
    padded = np.pad(waveform, [(FRAME, 2 * FRAME), (0, 0)])
    np.save(tmp_path / "mixture.npy", np.ascontiguousarray(padded.T))
    script = Path(__file__).with_name("sherpa_stems.py")
    arguments = [folder, tmp_path / "mixture.npy", tmp_path / "stems.npz"]
    subprocess.run([sys.executable, script, *arguments], check=True, cwd=tmp_path, capture_output=True)
    with np.load(tmp_path / "stems.npz") as stems:
        return {name: stems[name].T[FRAME : FRAME + len(waveform)] for name in stems.files}


def check_equal(stems, expected):
    for name, stem in stems.items():
        # 7e-7 is what was seen with the real model; its own FFT is float32 too.
        np.testing.assert_allclose(stem, expected[name], rtol=0, atol=1e-5 * np.abs(expected[name]).max())


@pytest.mark.parametrize("model", [SMALL_UNET, SMALL_SOFTMAX])
def test_the_real_sherpa_onnx_gives_our_stems(model, tmp_path):
    # Not in the order of its files; half a second more than one segment.
    config = small_config(**SPLEETERS, model=model, instrument_list=["accompaniment", "vocals"])
    network = random_network(config)
    convert_for_sherpa("small", config, network, tmp_path)
    waveform = noise(SEGMENT + 22_050)
    expected = separated(config, network, waveform)
    assert np.abs(expected["vocals"] - expected["accompaniment"]).max() > 1e-2
    check_equal(stems_of_sherpa(tmp_path, waveform, tmp_path), expected)


@pytest.mark.shared
def test_the_real_sherpa_onnx_separates_a_song_with_the_real_model_as_we_do(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_HOST", str(shared / "models"))
    monkeypatch.setenv("MODEL_PATH", str(tmp_path / "models"))
    song = shared / "clips" / "Cristina Vane - So Easy" / "mixture.mp3"
    waveform = read_waveform(song, sample_rate=44100, num_channels=2, duration_s=15)
    export = export_model(locate_model("2stems"), "sherpa-onnx", open_destination(tmp_path / "export"))
    assert export.difference < 1e-5
    check_equal(stems_of_sherpa(export.folder, waveform, tmp_path), Separator("2stems").separate(waveform))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sherpa")
    config = small_config(**SPLEETERS, model=SMALL_UNET)
    convert_for_sherpa("small", config, random_network(config), folder)
    return folder


@pytest.mark.parametrize("name", ["vocals", "accompaniment"])
def test_a_file_is_what_sherpa_onnx_reads(name, exported):
    session = onnxruntime.InferenceSession(exported / f"{name}.onnx")
    described = [(value.name, value.shape) for value in (*session.get_inputs(), *session.get_outputs())]
    assert described == [("x", [2, "segments", 512, 1024]), ("y", [2, "segments", 512, 1024])]
    properties = session.get_modelmeta().custom_metadata_map
    assert {key: properties[key] for key in ("model_type", "version", "stems", "sample_rate", "model_name")} == {
        "model_type": "spleeter",
        "version": "1",
        "stems": "2",
        "sample_rate": "44100",
        "model_name": "small",
    }
    assert {"model_url", "comment"} <= set(properties)


def test_a_file_of_a_u_net_holds_one_instrument_alone(exported):
    assert len(kernels_of(onnx.load(exported / "vocals.onnx").graph)) == 13
