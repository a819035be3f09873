import subprocess
from pathlib import Path

import numpy as np
import pytest

from sepcore import Separator
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import write_checkpoint
from sepcore.signal.audio_writer import write_audio
from tests.models import SMALL_SOFTMAX, SMALL_UNET, randomize, small_config

SCRIPT = Path(__file__).with_name("spleeter_separate.py")


@pytest.mark.peers
@pytest.mark.slow
@pytest.mark.parametrize(
    "keys",
    [
        {"model": SMALL_UNET},
        {"model": SMALL_SOFTMAX, "instrument_list": ["vocals", "drums", "bass", "other"], "mask_extension": "average"},
    ],
    ids=["unet", "softmax"],
)
def test_the_real_spleeter_reads_our_checkpoint_and_gives_our_stems(keys, spleeter_python, tmp_path, monkeypatch):
    config = small_config(model_dir="ours", train_csv="x", validation_csv="x", **keys)
    network = build_network(config)
    randomize(network)
    write_checkpoint(network, tmp_path / "ours", step=3)
    (tmp_path / "ours.json").write_text(config.to_json())
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, (40_000, 2)).astype(np.float32)
    write_audio(tmp_path / "song.wav", waveform, sample_rate=config.sample_rate, bits=32)

    arguments = [tmp_path / "ours.json", tmp_path, tmp_path / "song.wav", tmp_path / "stems.npz"]
    ran = subprocess.run(
        [str(spleeter_python), str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]

    monkeypatch.setenv("MODEL_PATH", str(tmp_path))
    ours = Separator(tmp_path / "ours.json").separate(waveform)
    with np.load(tmp_path / "stems.npz") as theirs:
        assert sorted(theirs.files) == sorted(ours)
        for instrument, stem in ours.items():
            assert np.abs(theirs[instrument] - stem).max() < 1e-3 * np.abs(stem).max()
