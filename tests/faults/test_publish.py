"""kill -9 while a release is written, and publishing again."""

import json
import os
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from sepcore.provider.checksum import file_sha256
from tests.faults.workplace import NUM_KILLS, PATIENCE_S, wait_until
from tests.models import small_config
from tests.release.conftest import DONE, summary
from tests.repository import ROOT

pytestmark = pytest.mark.slow

PUBLISH = """
import sys
from pathlib import Path
from sepcore.release.gate import judge_run
from sepcore.release.publish import publish_candidates
run, releases, waits = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
check = (lambda staged: print("staged", flush=True) or sys.stdin.read()) if waits else (lambda staged: None)
publish_candidates([judge_run(run, version="1.0.0", releases=releases)], releases, check=check)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run with a tarball of 30 MB."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.index").write_bytes(b"index")
    (folder / "model" / "model.data-00000-of-00001").write_bytes(random.Random(0).randbytes(30_000_000))
    (folder / "config.json").write_text(small_config().to_json())
    (folder / "done.json").write_text(json.dumps(DONE))
    (folder / "scores.json").write_text(summary(vocals=(5.0, -3.0), accompaniment=(8.0, 3.0)).to_json())
    return folder


def start(run, releases, *waits):
    """Publish; with `waits` the process stands still when all is written under temporary names."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PUBLISH, str(run), str(releases), *waits]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, env=environment, text=True, **pipes)


def kill(process):
    process.kill()
    process.communicate()


def finish(run, releases):
    process = start(run, releases)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr


@pytest.fixture(scope="module")
def undisturbed(run, tmp_path_factory):
    releases = tmp_path_factory.mktemp("undisturbed") / "releases"
    finish(run, releases)
    return contents(releases)


def contents(releases):
    return {path.relative_to(releases).as_posix(): file_sha256(path) for path in releases.rglob("*") if path.is_file()}


def test_killed_while_the_tarball_is_written_it_is_not_there_and_the_next_run_writes_it(run, undisturbed, tmp_path):
    releases = tmp_path / "releases"
    process = start(run, releases, "waits")
    assert process.stdout.readline() == "staged\n"
    kill(process)
    assert [half.stat().st_size > 30_000_000 for half in releases.glob("1.0.0/.tmp-*")] == [True]
    assert not list(releases.glob("1.0.0/*.tar.gz"))
    assert not list(releases.glob("1.0.0/checksum.json"))
    finish(run, releases)
    assert contents(releases) == undisturbed


@pytest.mark.parametrize("number", range(NUM_KILLS))
def test_killed_at_any_moment_the_next_run_completes_it_with_the_same_bytes(run, undisturbed, tmp_path, number):
    releases, rng = tmp_path / "releases", random.Random(number)
    for _ in range(3):
        process = start(run, releases)
        wait_until(lambda process=process: releases.exists() or process.poll() is not None)
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0, 1.5))
        kill(process)
        there = contents(releases) if releases.exists() else {}
        whole = {name: digest for name, digest in there.items() if not Path(name).name.startswith(".")}
        assert whole.items() <= undisturbed.items()
    finish(run, releases)
    assert contents(releases) == undisturbed
