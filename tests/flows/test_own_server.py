"""To whom a shell with the lines of `flows.serve` shows the credential: to its server alone."""

import fcntl
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from flows.serve.local_server import prefect_api
from flows.support.own_server import check_prefect_api, kept_credential, lock_of_port, own_port
from sepcore.errors import ConfigError
from tests.flows.test_prefect_server import COMMAND
from tests.raised import raises
from tests.repository import ROOT

CREDENTIAL = "stemworks:0123456789abcdef0123456789abcdef"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Prefect's home with a kept credential, which the shell has too."""
    home = tmp_path / "home"
    home.mkdir()
    file = home / "stemworks-credential"
    file.write_text(CREDENTIAL)
    file.chmod(0o600)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(home))
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", CREDENTIAL)
    return home


@pytest.fixture
def stranger():
    """A server of somebody else at a port, that says it is Prefect's; what it was asked, with which credential."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("Authorization")))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"true")

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1], asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_whoever_has_the_port_without_the_lock_is_not_asked(home, stranger):
    port, asked = stranger
    url = f"http://127.0.0.1:{port}/api"
    with raises(ConfigError, url) as refused:
        check_prefect_api(url)
    assert "`python -m flows.serve`" in str(refused.value)
    with raises(ConfigError, port) as refused, prefect_api(url, 4200):
        pass
    assert f"--port {port + 1}" in str(refused.value)
    assert f"PREFECT_API_URL={url}" in str(refused.value)
    assert asked == []


def test_whoever_holds_the_lock_is_ours(home):
    with lock_of_port(4242).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        check_prefect_api("http://127.0.0.1:4242/api")


@pytest.mark.parametrize("url", ["http://example.org:4200/api", "https://api.prefect.cloud/api/accounts/1"])
def test_servers_of_other_machines_are_their_users(home, url):
    assert own_port(url) is None
    check_prefect_api(url)


def test_a_local_server_with_another_credential_is_its_users(home, monkeypatch):
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:pass")
    check_prefect_api("http://127.0.0.1:4242/api")


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/api", "http://127.0.0.1:x/api", "http://[::1/api", "nowhere"])
def test_what_is_no_address_is_one_line(home, url):
    with raises(ConfigError, "PREFECT_API_URL", url):
        check_prefect_api(url)
    with raises(ConfigError, "PREFECT_API_URL", url), prefect_api(url, 4200):
        pass


COMMANDS = {
    "a command with a flow": [sys.executable, "-c", COMMAND],
    "a command of this project": [sys.executable, "-m", "flows.quickstart"],
    "Prefect's own": [str(Path(sys.executable).with_name("prefect")), "deployment", "ls"],
}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_shows_a_stranger_the_credential(home, stranger, environment, tmp_path, command):
    port, asked = stranger
    variables = environment | {
        "PREFECT_HOME": str(home),
        "PREFECT_API_AUTH_STRING": CREDENTIAL,
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
    }
    # The checkout's pyproject.toml switches the plugin of Prefect's command on.
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    result = subprocess.run(
        COMMANDS[command],
        cwd=tmp_path,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode in (1, 2)
    (line,) = result.stderr.splitlines()
    assert f"http://127.0.0.1:{port}/api" in line
    assert "`python -m flows.serve`" in line
    assert [authorization for _, authorization in asked if authorization] == []


def test_a_serve_that_outlives_its_server_is_named_and_not_waited_for(home, monkeypatch):
    monkeypatch.setattr("flows.serve.local_server._PATIENCE_S", 0.5)
    with lock_of_port(4243).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with raises(ConfigError, "flows.serve", 4243) as refused, prefect_api(None, 4243):
            pass
    assert "--port" in str(refused.value)
    assert os.environ.get("PREFECT_API_URL") is None


def test_it_is_made_once_for_its_user_alone(tmp_path):
    file = tmp_path / "home" / "credential"
    made = kept_credential(file)
    assert kept_credential(file) == made
    assert kept_credential(tmp_path / "another") != made
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def unreadable(file):
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    file.chmod(0)


def a_link(file):
    file.rename(file.with_name("other"))
    file.symlink_to("other")


def a_pipe(file):
    file.unlink()
    os.mkfifo(file, 0o600)


def a_folder(file):
    file.unlink()
    file.mkdir(0o700)


def of_another(file):
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(file, 12345, -1)


DAMAGES = {
    "read by a group": (lambda file: file.chmod(0o640), "640"),
    "read by all": (lambda file: file.chmod(0o604), "604"),
    "written by a group": (lambda file: file.chmod(0o620), "620"),
    "unreadable": (unreadable, "Permission denied"),
    "a link": (a_link, "link"),
    "a folder": (a_folder, "not a file"),
    "a pipe": (a_pipe, "not a file"),
    "another user's": (of_another, "another user"),
    "other text": (lambda file: file.write_text("secret"), "no credential"),
    "other bytes": (lambda file: file.write_bytes(b"\xff" * 5000), "no credential"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_one_that_others_may_know_is_refused(damage, tmp_path):
    file = tmp_path / "credential"
    kept_credential(file)
    do, fact = DAMAGES[damage]
    do(file)
    with raises(ConfigError, fact) as refused:
        kept_credential(file)
    line = str(refused.value)
    assert line.startswith(str(file))
    assert f"chmod 600 {file}" in line


def test_flows_serve_refuses_it_in_one_line(tmp_path, environment):
    file = tmp_path / "home" / "stemworks-credential"
    kept_credential(file)
    file.chmod(0o644)
    command = [sys.executable, "-m", "flows.serve", "--port", "1"]
    variables = environment | {"PREFECT_HOME": str(file.parent)}
    result = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(str(file))
    assert "644" in result.stderr
    assert result.stderr.count("\n") == 1
