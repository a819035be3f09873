"""Prefect's server killed twice under a watched folder: rounds go on when it is back, and Ctrl-C ends it meanwhile."""

import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from tests.faults.workplace import LONG, wait_until
from tests.models import write_model

pytestmark = [pytest.mark.slow, LONG]


def test_a_watched_folder_outlives_outages_of_prefects_api(prefect_server, server_environment, tmp_path):
    write_model(tmp_path / "model")
    (tmp_path / "in").mkdir()
    said = tmp_path / "said.txt"
    command = [sys.executable, "-m", "flows.watch", "in", "-o", "out", "-p", "model", "--every", "2"]
    with said.open("w") as log:
        watching = subprocess.Popen(command, cwd=tmp_path, env=server_environment, stdout=log, stderr=log)

    def separated(song):
        soundfile.write(tmp_path / "in" / f"{song}.wav", np.random.default_rng(0).uniform(-0.3, 0.3, (8000, 2)), 8000)
        wait_until((tmp_path / "out" / song / "accompaniment.wav").exists, watching)

    def runner_has_ended(times):
        # In the pause of keep_serving, which is longer than any of the rounds' before.
        return lambda: said.read_text().count("Prefect's API failed") >= times

    try:
        separated("before")
        for song, lines in (("first", 4), ("second", 8)):
            prefect_server.kill()
            wait_until(runner_has_ended(lines), watching)
            prefect_server.start()
            separated(song)
        prefect_server.kill()
        wait_until(runner_has_ended(9), watching)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 130
    finally:
        watching.kill()
        watching.wait()
        prefect_server.start()
    lines = [line for line in said.read_text().splitlines() if line.strip() and "\u2501" not in line]
    assert lines[0].startswith("serving separate-batch/watch-in-")
    assert lines[-1].lower().startswith("interrupted")
    assert {line.partition(" (")[0] for line in lines[1:-1]} == {"Prefect's API failed"}
