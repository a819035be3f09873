"""A release on a file server in GitHub's layout, fetched by this project and by the real Spleeter."""

import json
import os
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sepcore import Separator
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import write_checkpoint
from sepcore.provider.store import model_path
from tests.models import SMALL_UNET, randomize, small_config
from tests.release.publishing import publish_release

pytestmark = [pytest.mark.peers, pytest.mark.slow]

SCRIPT = Path(__file__).with_name("spleeter_separate.py")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder that a file server serves; `GITHUB_HOST` names it, and `MODEL_PATH` is an empty folder of ours."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("GITHUB_HOST", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("MODEL_PATH", str(tmp_path / "ours"))
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def spleeters_stems(spleeter_python, tmp_path):
    def separate(config, song):
        """The stems of the real Spleeter, which fetches the model into an empty folder of its own."""
        arguments = [config, tmp_path / "theirs", song, tmp_path / "stems.npz", "--download"]
        ran = subprocess.run(
            [str(spleeter_python), str(SCRIPT), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"MODEL_PATH": str(tmp_path / "theirs")},
        )
        assert ran.returncode == 0, ran.stderr[-2000:]
        with np.load(tmp_path / "stems.npz") as stems:
            return dict(stems)

    return separate


def assert_alike(ours, theirs, song):
    """Within 1e-3 of the stems' peak; and not since all are silent."""
    assert sorted(ours) == sorted(theirs)
    for instrument, stem in ours.items():
        assert np.abs(stem).max() > 1e-3 * np.abs(song).max()
        assert np.abs(theirs[instrument] - stem).max() < 1e-3 * np.abs(stem).max()


def assert_same_weights(tmp_path, name):
    """What each has fetched is the same, and each would take the other's without fetching it again."""
    for folder in (model_path(), tmp_path / "theirs"):
        assert (folder / name / ".probe").read_text() == "OK"
    for file in (tmp_path / "theirs" / name).iterdir():
        assert (model_path() / name / file.name).read_bytes() == file.read_bytes()


def test_a_release_made_here_separates_alike_here_and_in_spleeter(served, spleeters_stems, tmp_path, monkeypatch):
    config = small_config(model_dir="tiny", train_csv="x", validation_csv="x", model=SMALL_UNET)
    run = tmp_path / "run"
    network = build_network(config)
    randomize(network)
    write_checkpoint(network, run / "model", step=3)
    (run / "config.json").write_text(config.to_json())
    (run / "done.json").write_text(json.dumps({"name": "tiny", "steps": 3, "dataset": "none"}))
    releases = served / "me" / "models" / "releases" / "download"
    published = publish_release(run, version="1.0.0", releases=releases, force=True)
    monkeypatch.setenv("GITHUB_REPOSITORY", "me/models")
    monkeypatch.setenv("GITHUB_RELEASE", "1.0.0")
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (40_000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "song.wav", samples, config.sample_rate, subtype="FLOAT")

    ours = Separator("tiny").separate(samples)
    # Spleeter wants the config as a file: that of the release, which names the model by its model_dir.
    shutil.unpack_archive(published.tarball, tmp_path / "unpacked")
    theirs = spleeters_stems(tmp_path / "unpacked" / "config.json", tmp_path / "song.wav")
    assert_alike(ours, theirs, samples)
    assert_same_weights(tmp_path, "tiny")


@pytest.mark.shared
def test_spleeters_own_release_separates_alike_here_and_in_spleeter(served, spleeters_stems, tmp_path, shared):
    folder = served / "deezer" / "spleeter" / "releases" / "download" / "v1.4.0"
    shutil.copytree(shared / "models", folder)
    clip, wav = shared / "clips" / "audio_example.mp3", tmp_path / "song.wav"
    subprocess.run(["ffmpeg", "-v", "error", "-i", clip, "-ar", "44100", "-c:a", "pcm_f32le", wav], check=True)
    samples, _ = soundfile.read(wav, dtype="float32", always_2d=True)
    theirs = spleeters_stems("spleeter:2stems", wav)
    assert_alike(Separator("2stems").separate(samples), theirs, samples)
    assert_same_weights(tmp_path, "2stems")
