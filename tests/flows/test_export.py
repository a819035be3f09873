"""Models in other forms, as a user gets them."""

import json
import re
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest

from sepcore import Separator
from tests.flows.test_commands import SLOW_PACKAGES, lacking

pytestmark = pytest.mark.slow


def test_a_model_is_exported_once_and_found_there_the_next_time(run, model, tmp_path):
    result = run("export", model, "--format", "onnx", "-o", "out")
    assert (result.returncode, result.stderr) == (0, "")
    first, second = result.stdout.splitlines()
    assert re.fullmatch(rf"out: onnx of {model.name}, \d\.\d MB", first)
    assert re.fullmatch(r"largest difference from the Keras model \de-0[678] of the peak", second)
    again = run("export", model, "--format", "onnx", "-o", "out")
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.splitlines() == [f"{first}, there already", second]

    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, (30_000, 2)).astype(np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx")
    for (name, expected), stem in zip(
        Separator(model).separate(waveform).items(), session.run(None, {"waveform": waveform}), strict=True
    ):
        np.testing.assert_allclose(stem, expected, atol=1e-5 * np.abs(expected).max(), err_msg=name)


def test_wiener_filtering_is_left_out_and_one_line_says_so(run, model, tmp_path):
    config = json.loads((model / "config.json").read_text()) | {"MWF": True, "model_dir": str(model / "model")}
    (tmp_path / "mwf.json").write_text(json.dumps(config))
    result = run("export", "mwf.json", "--format", "savedmodel", "-o", "out")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1].startswith("MWF is true in the config, but Wiener filtering is not exported")


def test_an_operator_that_onnx_has_not_is_one_line_in_the_command_too(model, tmp_path, environment):
    code = (
        "import runpy, sys; import tests.export.test_exporter;"
        "sys.argv[1:] = ['strange', '--format', 'onnx', '-o', 'out'];"
        "runpy.run_module('flows.export', run_name='__main__')"
    )
    (tmp_path / "make.py").write_text(_MAKE_STRANGE)
    subprocess.run([sys.executable, "make.py"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    (line,) = [line for line in result.stderr.splitlines() if "0000 00:00" not in line and "absl" not in line]
    assert not lacking(line, "model.onnx ONNX"), line
    assert not (tmp_path / "out").exists()


_MAKE_STRANGE = """
from pathlib import Path
import tests.export.test_exporter
from sepcore.networks.spleeter_checkpoint import write_checkpoint
from tests.export.conftest import random_network
from tests.models import small_config
config = small_config(model={"type": "tests.strange"})
write_checkpoint(random_network(config), Path("strange/model"), step=1)
Path("strange/config.json").write_text(config.to_json())
"""


def test_a_refusal_waits_for_no_slow_package(model, tmp_path, environment):
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "flows.export",
        str(model),
        "--format",
        "sherpa-onnx",
        "-o",
        "out",
    ]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert "flows" in imported
    assert not imported & {*SLOW_PACKAGES, "onnx", "onnxruntime", "tf2onnx"}
