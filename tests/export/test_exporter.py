import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from sepcore import load_config
from sepcore.errors import CheckpointError, ExportError
from sepcore.export.destination import open_destination
from sepcore.export.exporter import export_model
from sepcore.export.formats import FORMATS
from sepcore.export.parity import LIMIT
from sepcore.networks.registry import register_network
from tests.export.conftest import noise
from tests.export.test_onnx_files import SPLEETERS
from tests.models import SMALL_UNET, TINY, TinyParams
from tests.raised import raises

pytestmark = pytest.mark.slow

FILES = {
    "savedmodel": {"saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"},
    "onnx": {"model.onnx"},
    "sherpa-onnx": {"vocals.onnx", "accompaniment.onnx"},
}


class Noise(keras.layers.Layer):
    """Adds to the magnitudes what nobody can foresee."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x):
        return x + keras.random.uniform(keras.ops.shape(x), seed=self.seeds)


def _build_noisy(inputs, config):
    masks = [keras.layers.Dense(config.num_channels, activation="sigmoid")(Noise()(inputs)) for _ in config.instruments]
    return keras.ops.stack(masks, axis=1) * inputs[:, None]


def _build_strange(inputs, config):
    masks = [keras.layers.Dense(config.num_channels, activation="sigmoid")(inputs) for _ in config.instruments]
    return keras.ops.abs(keras.ops.erfinv(keras.ops.stack(masks, axis=1)))  # ONNX has no such operator


register_network("tests.noisy", _build_noisy, TinyParams)
register_network("tests.strange", _build_strange, TinyParams)


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", FORMATS)
def test_a_model_is_written_with_its_config_and_checked(form, make_model, tmp_path):
    model = make_model(**SPLEETERS if form == "sherpa-onnx" else {}, model=SMALL_UNET)
    export = export_model(model, form, open_destination(tmp_path / "deep" / "export"))
    assert export.is_new
    assert 0 < export.difference < 1e-5 < LIMIT
    written = files(export.folder)
    assert {"config.json", "export.json", *FILES[form]} == written - {"fingerprint.pb"}
    assert load_config(export.folder) == model.config


def test_license_and_model_card_go_along(make_model, tmp_path):
    model = make_model(model=TINY)
    (model.folder / "LICENSE").write_text("MIT")
    export = export_model(model, "savedmodel", open_destination(tmp_path / "export"))
    assert (export.folder / "LICENSE").read_text() == "MIT"
    assert not (export.folder / "model_card.md").exists()


def test_the_same_again_changes_nothing(make_model, tmp_path):
    model = make_model(model=TINY)
    first = export_model(model, "onnx", open_destination(tmp_path / "export"))
    before = (tmp_path / "export" / "model.onnx").stat()
    again = export_model(model, "onnx", open_destination(tmp_path / "export"))
    assert (again.is_new, again.difference) == (False, first.difference)
    assert (tmp_path / "export" / "model.onnx").stat() == before


@pytest.mark.parametrize("change", [{"seed": 1}, {"mask_extension": "average"}])
def test_a_changed_model_replaces_its_export_only_with_overwrite(change, make_model, tmp_path):
    export_model(make_model(model=TINY), "savedmodel", open_destination(tmp_path / "export"))
    changed = make_model(model=TINY, **change)
    with raises(ExportError, "savedmodel of small", path=tmp_path / "export", hint="--overwrite"):
        export_model(changed, "savedmodel", open_destination(tmp_path / "export"))
    export = export_model(changed, "onnx", open_destination(tmp_path / "export"), overwrite=True)
    assert files(export.folder) == {"config.json", "export.json", "model.onnx"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".tmp")] == []


def test_what_does_not_give_the_stems_of_the_keras_model_is_not_kept(make_model, tmp_path):
    model = make_model(model={"type": "tests.noisy"})
    with raises(ExportError, "Keras model", "1e-04", hint="--format"):
        export_model(model, "savedmodel", open_destination(tmp_path / "deep" / "export"))
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_an_export_stays_when_its_replacement_fails(make_model, tmp_path):
    export_model(make_model(model=TINY), "savedmodel", open_destination(tmp_path / "export"))
    record = json.loads((tmp_path / "export" / "export.json").read_text())
    broken = make_model("broken", model={"type": "tests.noisy"})
    with raises(ExportError, "Keras model"):
        export_model(broken, "savedmodel", open_destination(tmp_path / "export"), overwrite=True)
    assert open_destination(tmp_path / "export").holds(record["fingerprint"])


def test_an_operator_that_onnx_has_not_is_one_line(make_model, tmp_path):
    model = make_model(model={"type": "tests.strange"})
    with raises(ExportError, "ONNX", "Erfinv", path="model.onnx") as caught:
        export_model(model, "onnx", open_destination(tmp_path / "export"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "export").exists()


def test_weights_of_another_network_are_refused(make_model, tmp_path):
    model = make_model(model=TINY)
    other = make_model("other", model=SMALL_UNET)
    mixed = type(model)("mixed", model.config, other.folder)
    with raises(CheckpointError, "tensors are missing", path=other.folder / "model"):
        export_model(mixed, "onnx", open_destination(tmp_path / "export"))
    assert not (tmp_path / "export").exists()


_ON_JAX = """
import sys
from pathlib import Path
from sepcore.errors import ExportError
from sepcore.export.destination import open_destination
from sepcore.export.exporter import export_model
from sepcore.provider.resolve import locate_model
try:
    export_model(locate_model(sys.argv[1]), "onnx", open_destination(Path("export")))
except ExportError as error:
    print(error)
"""


def test_another_backend_of_keras_is_refused(make_model, tmp_path, monkeypatch):
    model = make_model(model=SMALL_UNET)
    (model.folder / "config.json").write_text(model.config.to_json())
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    command = [sys.executable, "-c", _ON_JAX, str(model.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert all(fact in line for fact in ("KERAS_BACKEND is jax", "TensorFlow", "Unset KERAS_BACKEND."))


def test_noise_is_seeded():
    np.testing.assert_array_equal(noise(10), noise(10))
