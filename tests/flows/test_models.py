"""The command ``models`` as the process that a user starts, with a folder as the host of releases."""

import json
import shutil

import numpy as np
import pytest

from sepcore.config.network import SCNetParams
from sepcore.networks.checkpoint_files import find_checkpoint
from sepcore.networks.scnet_tensors import scnet_shapes
from sepcore.provider.archive import pack_archive
from sepcore.provider.checksum import file_sha256
from sepcore.provider.convert.torch_writer import write_state_dict
from tests.flows.test_commands import assert_is_one_line, lacking

pytestmark = pytest.mark.slow


@pytest.fixture
def mirror(model, tmp_path):
    """A folder of one release with the model `mine`."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    files = {file.name: file for file in (model / "model").glob("[!.]*")}
    pack_archive({**files, "config.json": model / "config.json"}, folder / "mine.tar.gz")
    (folder / "checksum.json").write_text(json.dumps({"mine": file_sha256(folder / "mine.tar.gz")}))
    return folder


@pytest.fixture
def models(run, mirror, tmp_path):
    """``models(*arguments)`` runs the command; no other test has converted a network for it."""
    variables = {"GITHUB_HOST": str(mirror), "MODEL_PATH": "here", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return lambda *arguments: run("models", *arguments, **variables)


def test_a_model_is_pulled_listed_and_verified(models, tmp_path):
    before = models("list")
    assert "│ mine" in before.stdout
    assert f"here: {tmp_path}/here (no models yet)" in before.stdout
    pulled = models("pull", "mine", "mine")
    came = f"mine: fetched from {tmp_path}/mirror/mine.tar.gz into {tmp_path}/here/mine"
    assert pulled.stdout == f"{came}\n"
    assert not list((tmp_path / "here" / "mine").glob("*network*"))
    assert models("pull", "mine").stdout == "mine: already up to date\n"
    assert "vocals, accompaniment │ yes" in models("list").stdout
    assert models("verify").stdout.startswith("mine: 4 files as they came from ")
    assert find_checkpoint(tmp_path / "here" / "mine")


def test_a_file_that_did_not_come_with_the_model_is_named(models, tmp_path):
    models("pull", "mine")
    (tmp_path / "here" / "mine" / ".network-3-0.onnx").touch()
    verified = models("verify")
    assert verified.returncode == 1
    facts = ".network-3-0.onnx", str(tmp_path / "here" / "mine")
    assert (verified.stderr.count("\n"), lacking(verified.stderr, facts)) == (1, [])


def test_one_that_fails_does_not_stop_the_others(models, tmp_path):
    result = models("pull", "nosuch", "../evil", "mine")
    assert result.returncode == 1
    assert result.stdout.startswith("mine: fetched")
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert not lacking(lines[0], "nosuch mine"), lines
    assert not lacking(lines[1], ["../evil"]), lines
    (tmp_path / "here" / "mine" / "model.index").unlink()
    verified = models("verify", "mine")
    assert verified.returncode == 1
    facts = str(tmp_path / "here" / "mine"), "checkpoint"
    assert (verified.stderr.count("\n"), lacking(verified.stderr, facts)) == (1, [])


def test_without_the_release_the_models_here_are_listed(models, mirror):
    models("pull", "mine")
    shutil.rmtree(mirror)
    result = models("list")
    assert result.returncode == 0
    assert "vocals, accompaniment │ yes" in result.stdout
    assert not lacking(result.stdout, ("release:", "GITHUB_HOST", str(mirror))), result.stdout
    assert models("verify").returncode == 0


def test_a_checkpoint_of_others_is_converted_listed_verified_and_taken_back(models, tmp_path):
    params = SCNetParams(dims=(4, 8, 12), num_dual_path_layers=2)
    rng = np.random.default_rng(0)
    tensors = {name: rng.standard_normal(shape, np.float32) for name, shape in scnet_shapes(params, 2).items()}
    write_state_dict(tmp_path / "best.ckpt", tensors)
    of_scnet = "convert", "best.ckpt", "--network", "scnet.scnet"
    converted = models(*of_scnet, "--name", "mine", "--instruments", "vocals,other", "--license", "MIT")
    assert (converted.returncode, converted.stderr) == (0, "")
    assert not lacking(
        converted.stdout, (f"{tmp_path}/here/mine", "vocals, other", "476", "MIT", "guessed", "standardize")
    )
    again = models(*of_scnet, "--name", "mine", "--instruments", "vocals,other", "--license", "MIT")
    assert (again.returncode, again.stdout.count("here already")) == (0, 1)
    other = models(*of_scnet, "--name", "mine", "--instruments", "vocals,other", "--license", "MIT", "--standardize")
    assert_is_one_line(other, ("model.params.standardize", "--force"))
    assert "vocals, other" in models("list").stdout
    assert models("verify").returncode == 0
    back = models("convert", "mine", "--to", "torch", "-o", "back.ckpt")
    assert not lacking(back.stdout, ("back.ckpt", "back.yaml"))
    again = models("convert", "back.ckpt", "--name", "again", "--config", "back.yaml")
    assert not lacking(again.stdout, (f"{tmp_path}/here/again", "vocals, other"))


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        ("convert a.ckpt", "--name"),
        ("convert a.ckpt b.ckpt --name mine", "2"),
        ("convert a.ckpt --name mine", "a.ckpt"),
        ("convert a.ckpt --name 2stems", "2stems"),
        ("convert a.ckpt --name ../evil", "--name"),
        ("convert a.ckpt --name mine --network unet.unet", "--network"),
        ("convert mine --to torch", "--output"),
        ("convert mine --to torch -o a.ckpt --no-standardize", "--standardize"),
        ("convert mine --to torch -o a.ckpt --license MIT", "--license"),
        ("list --license MIT", "--license"),
    ],
)
def test_a_wrong_conversion_is_told_in_one_line(models, arguments, facts):
    assert_is_one_line(models(*arguments.split()), facts)
