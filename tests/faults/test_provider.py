"""Many processes that ask for one model at once, and processes killed in the middle of getting it."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from sepcore.provider.archive import pack_archive
from tests.faults.workplace import NUM_KILLS, PATIENCE_S, wait_until
from tests.provider.conftest import ReleaseServer, Response, names
from tests.repository import ROOT

pytestmark = pytest.mark.slow

FOLDER = "/deezer/spleeter/releases/download/v1.4.0"
# Noise, which does not compress: some moments of unpacking.
WEIGHTS = random.Random(0).randbytes(30_000_000)
MEMBERS = {"model.index": b"index", "model.data-00000-of-00001": WEIGHTS}
ASK = "import sys; from sepcore.provider.resolve import locate_model; print(locate_model('2stems').folder)"


@pytest.fixture(scope="module")
def tarball(tmp_path_factory):
    path = tmp_path_factory.mktemp("release") / "2stems.tar.gz"
    pack_archive(MEMBERS, path)
    return path.read_bytes()


@pytest.fixture
def server(tarball):
    running = ReleaseServer()
    checksums = json.dumps({"2stems": hashlib.sha256(tarball).hexdigest()}).encode()
    running.answers = {
        f"{FOLDER}/checksum.json": Response(checksums),
        f"{FOLDER}/2stems.tar.gz": Response(tarball, ranges=True),
    }
    yield running
    running.close()


@pytest.fixture
def ask(server, tmp_path):
    """Start a process that asks for the model, with an empty `MODEL_PATH` of the test's own."""
    started = []
    environment = os.environ | {"GITHUB_HOST": server.url, "MODEL_PATH": str(tmp_path / "models")}
    environment["PYTHONPATH"] = str(ROOT)

    def start():
        command = [sys.executable, "-c", ASK]
        started.append(
            subprocess.Popen(
                command, env=environment, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def succeeds(process, models):
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    assert stdout.strip() == str(models / "2stems")


def is_whole(models):
    return names(models) == ["2stems"] and (models / "2stems" / "model.data-00000-of-00001").read_bytes() == WEIGHTS


def test_twenty_processes_that_start_at_once_fetch_it_once(ask, server, tmp_path):
    processes = [ask() for _ in range(20)]
    for process in processes:
        succeeds(process, tmp_path / "models")
    assert server.requests[f"{FOLDER}/2stems.tar.gz"] == 1
    assert is_whole(tmp_path / "models")


def test_those_who_waited_for_one_that_is_killed_get_it_all_the_same(ask, server, tarball, tmp_path):
    held = threading.Event()
    server.answers[f"{FOLDER}/2stems.tar.gz"] = [Response(tarball, held=held), Response(tarball, ranges=True)]
    first = ask()
    wait_until(lambda: server.requests[f"{FOLDER}/2stems.tar.gz"] == 1)
    others = [ask() for _ in range(3)]
    wait_until(lambda: list((tmp_path / "models").glob(".*.part")))
    first.kill()
    for process in others:
        succeeds(process, tmp_path / "models")
    held.set()
    assert server.requests[f"{FOLDER}/2stems.tar.gz"] == 2
    assert is_whole(tmp_path / "models")


def test_a_killed_download_is_gone_on_with(ask, server, tarball, tmp_path):
    held = threading.Event()
    server.answers[f"{FOLDER}/2stems.tar.gz"] = [
        Response(tarball, held=held),
        Response(tarball, ranges=True),
    ]
    models = tmp_path / "models"
    process = ask()
    wait_until(lambda: any(part.stat().st_size > 5_000_000 for part in models.glob(".*.part")))
    process.kill()
    process.wait(PATIENCE_S)
    held.set()
    (there,) = (part.stat().st_size for part in models.glob(".*.part"))
    succeeds(ask(), models)
    assert server.ranges == [f"bytes={there}-"]
    assert is_whole(models)


def test_a_killed_unpacking_leaves_no_model_and_the_next_run_has_it(ask, tmp_path):
    models = tmp_path / "models"
    process = ask()
    wait_until(lambda: list(models.glob(".tmp-*/.unpacking/model.data*")))
    process.kill()
    process.wait(PATIENCE_S)
    assert not (models / "2stems").exists()
    succeeds(ask(), models)
    assert is_whole(models)


@pytest.mark.parametrize("number", range(NUM_KILLS))
def test_killed_at_any_moment_the_next_run_has_it_whole(ask, tmp_path, number):
    rng, models = random.Random(number), tmp_path / "models"
    for _ in range(3):
        process = ask()
        wait_until(lambda process=process: models.exists() or process.poll() is not None)
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0, 0.8))
        process.kill()
        process.wait(PATIENCE_S)
        if (models / "2stems").exists():
            assert (models / "2stems" / "model.data-00000-of-00001").read_bytes() == WEIGHTS
            shutil.rmtree(models / "2stems")
    succeeds(ask(), models)
    assert is_whole(models)
