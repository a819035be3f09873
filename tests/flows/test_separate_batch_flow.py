"""The folder command with a Prefect API: a flow with a task run for each song that is not done."""

import subprocess
import sys

import httpx
import numpy as np
import pytest
import soundfile

from sepcore.batch.song import Outcome
from tasks.separation import is_passing, separate_one
from tests.canaries import SECRETS
from tests.models import write_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A small model."""
    folder = write_model(tmp_path_factory.mktemp("ready"))
    return folder


def write_song(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = path.with_name("plain.wav")  # soundfile writes no name that is not UTF-8
    soundfile.write(plain, np.random.default_rng(seed).uniform(-0.3, 0.3, (8000, 2)), 8000)
    plain.rename(path)


def task_runs(url):
    auth = tuple(SECRETS["PREFECT_API_AUTH_STRING"].split(":"))
    found = httpx.post(f"{url}/task_runs/filter", json={"sort": "EXPECTED_START_TIME_DESC"}, auth=auth).json()
    return {run["name"]: run["state_name"] for run in found}


def test_every_song_is_a_task_run_and_what_is_done_is_none(run, ready, tmp_path, prefect_server):
    for number in range(3):
        write_song(tmp_path / "songs" / f"song {number}.wav", number)
    (tmp_path / "songs" / "text.mp3").write_text("not music")
    command = ["separate_batch", "songs", "-o", "out", "-p", ready, "--workers", "2"]
    result = run(*command, PREFECT_API_URL=prefect_server)
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert "4 songs in out: 3 done, 0 skipped, 1 failed" in result.stdout
    runs = task_runs(prefect_server)
    names = {f"separate-{name}" for name in ("song 0.wav", "song 1.wav", "song 2.wav", "text.mp3")}
    assert {name: runs[name] for name in names} == dict.fromkeys(names, "Completed") | {"separate-text.mp3": "Failed"}

    write_song(tmp_path / "songs" / "song 3.wav", 3)
    (tmp_path / "songs" / "text.mp3").unlink()
    odd = tmp_path / "songs" / "line\n\udce9.wav"
    write_song(odd, 4)
    command[1:2] = [odd.relative_to(tmp_path), "songs"]
    result = run(*command, PREFECT_API_URL=prefect_server)
    assert result.returncode == 0, result.stderr
    assert "5 songs in out: 2 done, 3 skipped, 0 failed" in result.stdout
    assert (tmp_path / "out" / odd.stem / "vocals.wav").is_file()
    assert task_runs(prefect_server).keys() - runs.keys() == {"separate-song 3.wav", "separate-line\\n\\udce9.wav"}
    assert (tmp_path / "out" / "summary.parquet").is_file()


def test_an_error_of_the_disk_is_tried_again_and_what_no_try_mends_is_not(prefect_server, environment):
    script = """
import errno, sys
from prefect import flow
from tasks.separation import is_passing, separate_one

tries = []

@flow
def batch(code):
    again = separate_one.with_options(retry_delay_seconds=0, task_run_name="try")
    again.fn = lambda song, settings, options: (tries.append(1), (_ for _ in ()).throw(OSError(code, "no")))
    try:
        again(None, None, None)
    except OSError:
        pass
    return len(tries)

print(batch(getattr(errno, sys.argv[1])))
"""
    for code, tries in {"EIO": "3", "EACCES": "1"}.items():
        ran = subprocess.run(
            [sys.executable, "-c", script, code],
            env=environment | {"PREFECT_API_URL": prefect_server, "PREFECT_LOGGING_LEVEL": "CRITICAL"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout.strip() == tries


def test_only_errors_of_the_system_are_tried_again():
    from prefect.states import Failed

    assert separate_one.retries == 2
    assert is_passing(separate_one, None, Failed(data=OSError(5, "Input/output error")))
    for lasting in (PermissionError(13, "no"), FileNotFoundError(2, "no"), ValueError("no"), Outcome):
        assert not is_passing(separate_one, None, Failed(data=lasting))


def test_without_an_api_prefect_is_not_imported(run, ready, tmp_path):
    write_song(tmp_path / "a.wav")
    result = run("separate_batch", "a.wav", "-o", "out", "-p", ready, "--verbose", PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert "openvino" in imported
    assert not imported & {"prefect", "tensorflow", "mlflow", "pandas"}
