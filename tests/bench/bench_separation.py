"""Separation of two stems: this project beside the real Spleeter, warm, in turn, on the same audio."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from sepcore import load_config
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import write_checkpoint

SCRIPT = Path(__file__).with_name("separation_speed.py")


@pytest.mark.peers
@pytest.mark.slow
def test_separation_beside_spleeter(spleeter_python, full_size, tmp_path, capsys):
    write_checkpoint(build_network(load_config("2stems")), tmp_path / "2stems", step=0)
    seconds, runs, rounds = (180, 2, 3) if full_size else (12, 1, 1)
    results = {"ours": [], "spleeter": []}
    for _ in range(rounds):
        for who, python in (("ours", sys.executable), ("spleeter", spleeter_python)):
            command = [str(python), str(SCRIPT), who, str(tmp_path), str(seconds), str(runs)]
            ran = subprocess.run(command, capture_output=True, text=True, check=True)
            results[who].append(json.loads(ran.stdout.splitlines()[-1]))
    ours, theirs = (
        statistics.median(time for result in results[who] for time in result["elapsed_s"]) for who in results
    )
    memory = {who: max(result["memory_mb"] for result in results[who]) for who in results}
    with capsys.disabled():
        sys.stdout.write(
            f"\nseparation of {seconds} s, warm: ours {seconds / ours:.1f}, Spleeter {seconds / theirs:.1f} times real "
            f"time, ratio {theirs / ours:.2f}; peak memory {memory['ours']:.0f} and {memory['spleeter']:.0f} MB\n"
        )
