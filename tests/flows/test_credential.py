"""The file of the credential of Prefect's server."""

import os
import subprocess
import sys

import pytest

from flows.support.credential import kept_credential
from sepcore.errors import ConfigError
from tests.raised import raises


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
