import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from sepcore.config.load import parse_config
from sepcore.engines.openvino import OpenVinoEngine

SCRIPT = Path(__file__).with_name("torch_scnet_stems.py")
SIZES = {"small": (8, 12, 16), "half width": (16, 32, 64), "author's": (32, 64, 128)}


@pytest.mark.peers_torch
@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("widths", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_stems_are_those_of_pytorch(seed, widths, channels, torch_python, tmp_path):
    dims, stems = [2 * channels, *widths], ["vocals", "drums", "bass"]
    content = {"instrument_list": stems, "n_channels": channels, "T": 48, "F": 2049}
    config = parse_config(json.dumps({**content, "model": {"type": "scnet.scnet", "params": {"dims": dims}}}), "c.json")
    keys = json.dumps({"sources": stems, "audio_channels": channels, "dims": dims})
    arguments = [keys, config.segment_frames, config.num_bins, seed, tmp_path / "theirs.npz"]
    ran = subprocess.run(
        [str(torch_python), str(SCRIPT), *map(str, arguments)], input="", capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    theirs = dict(np.load(tmp_path / "theirs.npz"))
    spectra, expected = theirs.pop("/spectra"), theirs.pop("/stems")
    ours = OpenVinoEngine(config, theirs).estimate(np.ascontiguousarray(spectra.transpose(2, 1, 0))[None])
    expected = expected.reshape(len(stems), *spectra.shape).transpose(0, 3, 2, 1)
    np.testing.assert_allclose(ours[0], expected, atol=1e-4 * np.abs(expected).max(), rtol=0)
