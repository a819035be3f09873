import onnx
import pytest

from sepcore.errors import ExportError
from sepcore.export.onnx_conversion import load_onnx
from tests.raised import raises

# Adds what cannot be added; and an operator that nobody has.
BROKEN = {
    "shapes": "sum (float[2] x, float[3] y) => (float[2] z) { z = Add(x, y) }",
    "operator": "strange (float[2] x) => (float[2] y) { y = Strange(x) }",
}


@pytest.mark.parametrize("graph", BROKEN)
def test_a_file_that_onnx_runtime_cannot_run_is_one_line(graph, tmp_path):
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 15]> {BROKEN[graph]}')
    onnx.save(model, tmp_path / "model.onnx")
    with raises(ExportError, "ONNX Runtime", path="model.onnx") as caught:
        load_onnx(tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)


def test_a_file_of_something_else_is_one_line(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"something else")
    with raises(ExportError, "ONNX Runtime", path="model.onnx") as caught:
        load_onnx(tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)
