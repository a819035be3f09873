"""A watched folder, with a Prefect server and without one."""

import re
import signal
import subprocess
import sys
import time

import httpx
import numpy as np
import pytest
import soundfile

from tests.canaries import SECRETS
from tests.flows.test_commands import assert_is_one_line, lacking
from tests.models import write_model

pytestmark = pytest.mark.slow
PATIENCE_S = 120


@pytest.fixture
def start(tmp_path, environment):
    """Starts the command on the folder ``in``; ends it at the end."""
    write_model(tmp_path / "model")
    (tmp_path / "in").mkdir()
    started = []

    def command(*options, **variables):
        call = [sys.executable, "-m", "flows.watch", "in", "-o", "out", "-p", "model", "--every", "1", *options]
        pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(call, cwd=tmp_path, env=environment | variables, **pipe))
        return started[-1]

    yield command
    for process in started:
        process.kill()
        process.communicate()


def drop(path, seconds=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(0).uniform(-0.3, 0.3, (round(8000 * seconds), 2)), 8000)


def wait_for(condition, process):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def end(process):
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1].lower().startswith("interrupted")
    assert process.returncode == 130
    return stdout


def test_without_prefect_a_dropped_file_becomes_stems_and_a_bad_one_a_line(start, tmp_path):
    process = start()
    drop(tmp_path / "in" / "album" / "a.wav")
    (tmp_path / "in" / "text.mp3").write_text("not music")
    stem = tmp_path / "out" / "album" / "a" / "accompaniment.wav"
    wait_for(stem.exists, process)
    assert soundfile.info(stem).duration == 1
    drop(tmp_path / "in" / "b.wav")
    wait_for((tmp_path / "out" / "b" / "accompaniment.wav").exists, process)
    time.sleep(2)
    lines = end(process).splitlines()
    assert lines[0] == "watching in every 1 s, stems go to out; Ctrl-C ends it"
    assert [line.partition(": ")[0] for line in lines[1:]] == ["in/album/a.wav", "in/text.mp3", "in/b.wav"]


def test_a_file_that_is_still_being_copied_is_left_alone(start, tmp_path):
    drop(tmp_path / "whole.wav", seconds=20)
    content = (tmp_path / "whole.wav").read_bytes()
    process = start()
    with (tmp_path / "in" / "slow.wav").open("wb") as file:
        for number in range(20):
            file.write(content[number * len(content) // 20 : (number + 1) * len(content) // 20])
            file.flush()
            time.sleep(0.4)
            assert not (tmp_path / "out" / "slow").exists()
    stem = tmp_path / "out" / "slow" / "accompaniment.wav"
    wait_for(stem.exists, process)
    assert soundfile.info(stem).duration == 20
    assert "failed" not in end(process)


def found(url, what, **by):
    auth = tuple(SECRETS["PREFECT_API_AUTH_STRING"].split(":"))
    return httpx.post(f"{url}/{what}/filter", json=by, auth=auth, timeout=30).raise_for_status().json()


def test_with_prefect_the_rounds_are_runs_of_a_deployment(start, tmp_path, prefect_server):
    bad = tmp_path / "in" / f"bad {tmp_path.name}\n\udce9.mp3"
    bad.write_text("not music")

    def tries(url):
        return len(found(url, "task_runs", task_runs={"name": {"like_": f"separate-bad {tmp_path.name}"}}))

    def num_flow_runs(url):
        return len(found(url, "flow_runs", flow_runs={"state": {"type": {"any_": ["COMPLETED", "FAILED"]}}}))

    process = start(PREFECT_API_URL=prefect_server)
    drop(tmp_path / "in" / "a.wav")
    wait_for((tmp_path / "out" / "a" / "accompaniment.wav").exists, process)
    # Failed once, it is not tried again until it changes.
    wait_for(lambda: tries(prefect_server) == 1, process)
    rounds = num_flow_runs(prefect_server)
    wait_for(lambda: num_flow_runs(prefect_server) > rounds + 1, process)
    assert tries(prefect_server) == 1
    bad.write_text("no music either")
    wait_for(lambda: tries(prefect_server) == 2, process)
    lines = end(process).splitlines()
    assert re.fullmatch(
        r"serving separate-batch/watch-in-[0-9a-f]{8} every 1 s, stems go to out; Ctrl-C ends it", lines[0]
    )
    assert not list((tmp_path / "out").rglob("bad*"))


@pytest.mark.parametrize(
    ("options", "facts"),
    [
        (["--every", "0"], ("--every", "0", "1 to 86400")),
        (["--overlap", "1"], ("--overlap", "1", "0 to 0.9")),
    ],
)
def test_a_mistake_is_one_line(start, options, facts):
    process = start(*options)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 2
    assert not lacking(stderr, facts), stderr
    assert stderr.count("\n") == 1


def test_a_folder_that_is_not_there_is_one_line(run):
    assert_is_one_line(run("watch", "nowhere", "-o", "out"), "nowhere:")
