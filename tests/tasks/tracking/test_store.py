"""Processes that open a new store of MLflow at once."""

import os
import subprocess
import sys

import pytest

from tests.repository import ROOT

pytestmark = pytest.mark.slow


def test_processes_that_open_a_new_store_at_once_make_its_tables_one_after_the_other(tmp_path):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-c", "from tasks.tracking.store import check_store; check_store()"]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, cwd=tmp_path, env=environment, **piped) for _ in range(3)]
    ended = [(*process.communicate(timeout=300), process.returncode) for process in processes]
    assert [code for _, _, code in ended] == [0, 0, 0], ended
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
