"""An ingest that is killed at any moment and run again."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.dataset.ingest.conftest import write_song
from tests.repository import ROOT

pytestmark = pytest.mark.slow

# All songs of a folder, one after the other.
PROGRAM = """
import sys
from pathlib import Path
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.audio import prepare_song
from sepcore.dataset.ingest.songs import list_folder_songs

for song in list_folder_songs(Path(sys.argv[1])):
    prepare_song(song, Path(sys.argv[2]), ModelConfig(instruments=("vocals", "accompaniment")))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Three songs at another rate, without mixtures: three files to make of each."""
    folder = tmp_path_factory.mktemp("set")
    for name in ("A", "B", "C"):
        write_song(folder / name, "vocals.wav", "drums.wav", "bass.wav", rate=48000, seconds=20)
    return folder


def start(root, out):
    return subprocess.Popen([sys.executable, "-c", PROGRAM, root, out], cwd=ROOT)


@pytest.fixture(scope="module")
def undisturbed(root, tmp_path_factory):
    """What an ingest that nobody killed makes of them."""
    out = tmp_path_factory.mktemp("undisturbed")
    assert start(root, out).wait() == 0
    return contents(out)


def contents(out):
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def is_temporary(name):
    return Path(name).name.startswith(".tmp")


# What stands in the output when the process is killed.
MOMENTS = {
    "while files are written": lambda names: any(map(is_temporary, names)),
    "before the first record": lambda names: "audio/A/vocals.wav" in names,
    "between two songs": lambda names: "audio/A/made_from.json" in names,
    "in the last song": lambda names: any(name.startswith("audio/C") for name in names),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_ingest_leaves_nothing_half_written_and_the_next_ends_as_if_nothing_had_been(
    root, undisturbed, tmp_path, moment
):
    process = start(root, tmp_path)
    deadline = time.monotonic() + 60
    while not MOMENTS[moment]({str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = {name: content for name, content in contents(tmp_path).items() if not is_temporary(name)}
    assert left.items() <= undisturbed.items()
    complete = {name.rpartition("/")[0] for name in left if name.endswith("made_from.json")}
    before = {path: path.stat().st_mtime_ns for name in complete for path in (tmp_path / name).iterdir()}
    assert start(root, tmp_path).wait() == 0
    assert contents(tmp_path) == undisturbed
    assert {path: path.stat().st_mtime_ns for path in before} == before
