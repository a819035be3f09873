"""What a native library writes to file descriptor 2, with a stand-in for TensorFlow that can be made to crash."""

import os
import signal
import subprocess
import sys

import pytest

from tests.repository import ROOT

CHATTER = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795983768.516827   10126 port.cc:153] oneDNN custom operations are on.
To enable the following instructions: AVX2, rebuild TensorFlow.
"""
TENSORFLOW = f"""
import os, types
os.write(2, {CHATTER.encode()!r})
os.write(2, b"E0000 00:00:1795983768.5 1 real.cc:1] a real error\\n")
if "CRASH" in os.environ:
    os.write(2, b"F0000 00:00:1795983768.5 1 cpu.cc:1] AVX is missing")
    os.abort()
no_gpu = b"E0000 00:00:1795983768.5 1 cuda.cc:52] failed call to cuInit: 303\\n"
config = types.SimpleNamespace(list_physical_devices=lambda: os.write(2, no_gpu))
"""
SCRIPT = """
import os, sys
from importlib.util import find_spec
from flows.support.native_log import filter_native_log
filter_native_log()
assert find_spec("tensorflow")  # as who only asks whether it is installed
import tensorflow
os.write(2, b"I0000 00:00:1795983768.5 1 xla.cc:1] after the import\\n")
print("Python's own", file=sys.stderr)
{then}
"""


@pytest.fixture
def ended(tmp_path):
    """Runs a process that imports the stand-in, and then something more."""
    (tmp_path / "tensorflow.py").write_text(TENSORFLOW)

    def run(then, **variables):
        environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"} | variables
        command = [sys.executable, "-c", SCRIPT.format(then=then)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_the_chatter_of_an_import_is_dropped_and_nothing_else(ended):
    result = ended("")
    assert result.returncode == 0
    assert result.stderr.splitlines() == [
        "E0000 00:00:1795983768.5 1 real.cc:1] a real error",
        "I0000 00:00:1795983768.5 1 xla.cc:1] after the import",
        "Python's own",
    ]


def test_the_last_words_of_a_crash_are_shown(ended):
    for _ in range(5):
        result = ended("os.write(2, b'last words'); os.abort()")
        assert result.returncode == -signal.SIGABRT
        assert result.stderr.endswith("last words")


def test_the_last_words_of_a_crash_in_the_import_are_shown(ended):
    for _ in range(5):
        result = ended("", CRASH="1")
        assert result.returncode == -signal.SIGABRT
        assert result.stderr.endswith("cpu.cc:1] AVX is missing")
