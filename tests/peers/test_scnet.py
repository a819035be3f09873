import json
import subprocess
from pathlib import Path

import pytest

from tests.networks.scnet_cases import distance_from_the_oracle

SCRIPT = Path(__file__).with_name("scnet_oracle.py")
SIZES = {
    "small": ({"dims": [8, 16, 24]}, {"frames": 32, "bins": 513}),
    "half": ({"dims": [16, 32, 64]}, {"frames": 16, "bins": 2049}),
    "SCNet-S": ({"dims": [32, 64, 128]}, {"frames": 16, "bins": 2049}),
}


@pytest.mark.peers_torch
@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2], ids=["mono", "stereo"])
@pytest.mark.parametrize("size", SIZES)
def test_fresh_weights_of_pytorchs_scnet_give_its_stems(size, channels, torch_python, tmp_path):
    params, shape = SIZES[size]
    params = {"dims": [2 * channels, *params["dims"]]}
    cases = [
        {"name": f"seed {seed}", "params": params, "stems": 4, "channels": channels, "seed": seed, **shape}
        for seed in range(3)
    ]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    command = [str(torch_python), str(SCRIPT), str(tmp_path / "cases.json"), str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    for case in cases:
        file = tmp_path / f"{case['name']}.npz"
        assert distance_from_the_oracle(case, file, tmp_path / "model" / case["name"]) < 1e-4
