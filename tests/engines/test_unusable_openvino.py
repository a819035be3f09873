"""An OpenVINO that is installed and does not load, in the process that a user starts."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from tests.models import TINY, write_model
from tests.repository import ROOT

pytestmark = pytest.mark.slow

# What stands in the package's __init__.py, and what the line must tell of it.
BROKEN = {
    "a compiled module that is cut off": ("from openvino._pyopenvino import Core", "_pyopenvino"),
    "a shared library that is missing": ("import ctypes; ctypes.CDLL('libopenvino.so.0')", "libopenvino.so.0"),
    "a runtime of another version": ("", "Type"),
    "a plugin that refuses the processor": (
        "class Type:\n    class f32:\n        to_dtype = str\n"
        "class Core:\n    def get_property(self, *of):\n        raise RuntimeError('Illegal\\n instruction set')\n",
        "Illegal instruction set",
    ),
}
INTERRUPTED = (
    "try:\n    raise KeyboardInterrupt\nexcept KeyboardInterrupt as ctrl_c:\n    raise ImportError from ctrl_c\n"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def run(tmp_path):
    """``run(code, …)`` is Python with an OpenVINO of this code and, unless told otherwise, with TensorFlow."""

    def command(code, *arguments, tensorflow=True):
        packages = tmp_path / "packages"
        (packages / "openvino").mkdir(parents=True)
        (packages / "openvino" / "__init__.py").write_text(code)
        (packages / "openvino" / "_pyopenvino.abi3.so").touch()
        if not tensorflow:
            (packages / "sitecustomize.py").write_text("import sys; sys.modules['tensorflow'] = None\n")
        paths = {"PYTHONPATH": f"{packages}{os.pathsep}{ROOT}", "XDG_CACHE_HOME": str(tmp_path / "cache")}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=os.environ | paths,
            capture_output=True,
            text=True,
            check=False,
        )

    return command


@pytest.fixture
def separate(model, run, tmp_path):
    """``separate(code, …)`` separates a song with an OpenVINO of this code."""

    def command(code, *options, **given):
        soundfile.write(tmp_path / "song.wav", np.zeros((8000, 2)), 8000)
        arguments = ("-m", "flows.separate_batch", "song.wav", "-o", "out", "-p", model, *options)
        return run(code, *arguments, **given)

    return command


def told(result):
    """The lines about OpenVINO on stderr, where the progress bar is too."""
    assert "Traceback" not in result.stderr
    return [line for line in result.stderr.splitlines() if "OpenVINO" in line]


@pytest.mark.parametrize("fault", BROKEN)
def test_one_line_says_why_it_does_not_load_and_what_to_do(separate, tmp_path, fault):
    code, reason = BROKEN[fault]
    result = separate(code, "--engine", "openvino")
    (line,) = told(result)
    assert result.returncode == 2
    assert reason in line
    assert "pip install --force-reinstall openvino" in line
    assert "engine tensorflow" in line
    assert not list(tmp_path.glob("out/**/*.wav"))


def test_auto_takes_tensorflow_instead_and_says_so_once(separate, tmp_path):
    code, reason = BROKEN["a shared library that is missing"]
    result = separate(code)
    (line,) = told(result)
    assert (result.returncode, "1 done" in result.stdout) == (0, True), result.stderr
    assert line.startswith("WARNING")
    assert reason in line
    assert "runs on TensorFlow" in line
    assert len(list(tmp_path.glob("out/**/*.wav"))) == 2


def test_auto_without_tensorflow_is_refused_like_openvino(separate):
    code, reason = BROKEN["a shared library that is missing"]
    result = separate(code, tensorflow=False)
    (line,) = told(result)
    assert result.returncode == 2
    assert reason in line
    assert "stemworks[train]" in line


def test_an_interruption_of_its_import_is_one(separate):
    result = separate(INTERRUPTED)
    assert (result.returncode, told(result)) == (130, [])


def test_a_network_is_not_converted_for_it_in_vain(run, tmp_path):
    own = write_model(tmp_path / "own", model=TINY)
    load = "import sys, tests.models, sepcore; sepcore.Separator(sys.argv[1], engine='openvino')"
    result = run(BROKEN["a shared library that is missing"][0], "-c", load, own)
    assert "EngineUnusable" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "cache").exists()
