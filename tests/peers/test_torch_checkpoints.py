"""PyTorch's own files are read bit by bit, and it loads ours."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from sepcore.errors import CheckpointError
from sepcore.provider.convert.convert import convert_checkpoint, write_torch
from sepcore.provider.convert.states import find_state
from sepcore.provider.convert.torch_file import TorchFile
from sepcore.provider.resolve import locate_model
from tests.raised import raises

pytestmark = pytest.mark.peers_torch

SCRIPT = Path(__file__).with_name("torch_scnet.py")
SIZES = [
    {"dims": [4, 8, 12], "sources": ["vocals", "other"], "num_dplayer": 2},
    {"dims": [2, 6, 8, 10], "sources": ["vocals"], "audio_channels": 1, "band_kernel": [3, 4, 18], "compress": 2},
    {},
]
STATES = [
    *("size0", "size1", "size2", "float64", "float16", "bfloat16"),
    *("parameters", "views", "shared", "authors", "msst"),
]


@pytest.fixture(scope="module")
def in_torch(torch_python):
    def run(*arguments):
        ran = subprocess.run(
            [str(torch_python), str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr[-2000:]

    return run


@pytest.fixture(scope="module")
def saved(in_torch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    in_torch("save_all", folder, json.dumps(SIZES))
    return folder


@pytest.mark.parametrize("name", STATES)
def test_what_pytorch_has_stored_is_read_bit_by_bit(saved, name):
    path = saved / f"{name}.pt"
    with TorchFile(path) as file, np.load(saved / f"{name}.npz") as expected:
        _, tensors = find_state(file.content, path)
        found = file.read(tensors)
        assert list(found) == expected.files
        for each, values in found.items():
            np.testing.assert_array_equal(values, expected[each], strict=True)


@pytest.mark.parametrize("number", range(len(SIZES)))
def test_a_model_goes_to_pytorch_and_back_unchanged(saved, in_torch, number, tmp_path, monkeypatch):
    monkeypatch.setenv("MODEL_PATH", str(tmp_path))
    keys = SIZES[number]
    convert_checkpoint(saved / f"size{number}.pt", "one", instruments=tuple(keys.get("sources", ())))
    write_torch(locate_model("one"), tmp_path / "back.ckpt")
    in_torch("load", tmp_path / "back.ckpt", json.dumps(keys), tmp_path / "loaded.npz")
    with np.load(tmp_path / "loaded.npz") as loaded, np.load(saved / f"size{number}.npz") as expected:
        assert loaded.files == expected.files
        for name in expected.files:
            np.testing.assert_array_equal(loaded[name], expected[name], strict=True)
    convert_checkpoint(tmp_path / "back.ckpt", "two", yaml=tmp_path / "back.yaml")
    one, two = (locate_model(name) for name in ("one", "two"))
    assert one.config.deciding_keys() == two.config.deciding_keys()
    for file in ("model.index", "model.data-00000-of-00001"):
        assert (one.folder / file).read_bytes() == (two.folder / file).read_bytes()


def test_a_whole_module_and_the_old_format_are_refused(saved):
    with raises(CheckpointError, "scnet.scnet.SCNet", path=saved / "module.pt"):
        TorchFile(saved / "module.pt")
    with raises(CheckpointError, "1.6", path=saved / "legacy.pt", hint="torch.save"):
        TorchFile(saved / "legacy.pt")
