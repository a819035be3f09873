"""SCNet's network on OpenVINO beside the same one on PyTorch, in turns, so that both meet the same load.

PyTorch's threads wait for each other in busy loops, so on a machine with other work only the ratio of the processor's
time to that of PyTorch with one thread means anything.
"""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

import tests.peers
from tests.repository import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.peers_torch]

OURS = Path(__file__).with_name("scnet_speed.py")
THEIRS = Path(tests.peers.__file__).with_name("torch_scnet_stems.py")
SIZES = {"half width": [4, 16, 32, 64], "author's": [4, 32, 64, 128]}
HOP_S = 1024 / 44100
OVERLAP = 0.25


@pytest.mark.parametrize("dims", SIZES.values(), ids=SIZES)
def test_scnet_beside_pytorch(dims, torch_python, full_size, tmp_path, capsys):
    frames, rounds = (476, 5) if full_size else (16, 1)
    keys = json.dumps({"dims": dims})
    commands = {name: [sys.executable, OURS, json.dumps(dims), frames, name] for name in ("float32", "bfloat16")}
    for name in ("pytorch", "one thread"):
        commands[name] = [torch_python, THEIRS, keys, frames, 2049, 0, tmp_path / f"{name}.npz"]
    least = {name: {"elapsed_s": float("inf"), "busy_s": float("inf")} for name in commands}
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(started(*command, one_thread=name == "one thread"))
            for name, command in commands.items()
        }
        for _ in range(rounds):
            for name, process in processes.items():
                process.stdin.write("\n")
                process.stdin.flush()
                for key, value in json.loads(process.stdout.readline()).items():
                    least[name][key] = min(least[name][key], value)
    theirs, alone, audio_s = least.pop("pytorch"), least.pop("one thread"), frames * (1 - OVERLAP) * HOP_S
    with capsys.disabled():
        for name, ours in least.items():
            speed, ratio = audio_s / ours["elapsed_s"], theirs["elapsed_s"] / ours["elapsed_s"]
            sys.stdout.write(
                f"\nSCNet's network, dims {dims}, T {frames}, {name}: {speed:.1f} times real time at an overlap of "
                f"{OVERLAP}; ratio to PyTorch {ratio:.2f}, to PyTorch with one thread in the processor's time "
                f"{alone['busy_s'] / ours['busy_s']:.2f}\n"
            )


def started(*command, one_thread):
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | ({"OMP_NUM_THREADS": "1"} if one_thread else {})
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen(list(map(str, command)), env=environment, **pipes)
