"""The Prefect server that a command starts for itself."""

import os
import signal
import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit

import httpx
import pytest

pytestmark = pytest.mark.slow

COMMAND = """
import os, sys
from flows.support.command import run_command, set_up_process
set_up_process(False)
from flows.support.prefect_server import start_prefect, with_prefect
start_prefect()
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.settings import get_current_settings

@task(cache_policy=NO_CACHE)
def say():
    heartbeats = get_current_settings().flows.heartbeat_frequency
    print(os.environ["PREFECT_API_URL"], os.environ["PREFECT_API_AUTH_STRING"], heartbeats, flush=True)
    return sys.stdin.read()

@flow
def talk():
    say()

run_command(lambda: with_prefect(talk))
"""


@pytest.fixture
def start(tmp_path, environment):
    """Starts a command whose flow waits for its input to end; gives it, its API, its credential, and its heartbeats."""
    started = []

    def command(**variables):
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND],
            cwd=tmp_path,
            env=environment | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, *process.stdout.readline().split()

    yield command
    for process in started:
        process.kill()
        process.communicate()


def is_listened_at(url):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", urlsplit(url).port)) == 0


def test_it_lets_in_its_command_alone_and_ends_with_it(start):
    # A proxy that is not there: nothing is sent to it.
    process, url, credential, heartbeats = start(HTTP_PROXY="http://127.0.0.1:9", http_proxy="http://127.0.0.1:9")
    assert httpx.get(f"{url}/version", trust_env=False).status_code == 401
    auth = tuple(credential.split(":"))
    assert httpx.get(f"{url}/version", auth=auth, trust_env=False).status_code == 200
    strange = {"headers": {"Origin": "https://example.org"}, "auth": auth, "trust_env": False}
    assert httpx.post(f"{url}/flows/filter", json={}, **strange).status_code == 403
    lines, errors = process.communicate("", timeout=60)
    assert (process.returncode, lines, errors, heartbeats) == (0, "", "", "None")
    assert not is_listened_at(url)


def test_heartbeats_that_are_asked_for_are_sent(start):
    *_, heartbeats = start(PREFECT_FLOWS_HEARTBEAT_FREQUENCY="60")
    assert heartbeats == "60"


def test_ctrl_c_reaches_the_command_before_its_server(start):
    process, url, *_ = start()
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.count("\n")) == (130, 1)
    assert not is_listened_at(url)


def test_it_ends_when_its_command_is_killed(start):
    process, url, *_ = start()
    process.kill()
    deadline = time.monotonic() + 30
    while is_listened_at(url):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_that_does_not_start_is_one_line(start, tmp_path):
    (tmp_path / "file").touch()
    process, *said = start(PREFECT_API_DATABASE_CONNECTION_URL=f"sqlite+aiosqlite:///{tmp_path}/file/prefect.db")
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, said) == (2, [])
    assert errors.startswith("Prefect's server does not start at http://127.0.0.1:")
    assert errors.count("\n") == 1
