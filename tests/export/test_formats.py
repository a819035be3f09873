import pytest

from sepcore import load_config
from sepcore.errors import ExportError
from sepcore.export.formats import FORMATS, check_exportable
from tests.export.test_onnx_files import SPLEETERS
from tests.models import SMALL_BLSTM, SMALL_SOFTMAX, SMALL_UNET, small_config
from tests.raised import raises


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "sherpa-onnx"])
@pytest.mark.parametrize("name", ["2stems", "5stems", "4stems-16kHz", "quickstart"])
def test_every_model_fits_the_general_forms(form, name):
    check_exportable(load_config(name), form)


@pytest.mark.parametrize("model", [SMALL_UNET, SMALL_SOFTMAX])
def test_u_nets_of_two_stems_fit_sherpa_onnx(model):
    check_exportable(load_config("2stems"), "sherpa-onnx")
    check_exportable(small_config(**SPLEETERS, model=model), "sherpa-onnx")


@pytest.mark.parametrize(
    ("keys", "given", "allowed"),
    [
        ({"instrument_list": ["vocals", "drums"]}, "instrument_list is vocals, drums", "vocals and accompaniment"),
        ({"instrument_list": ["vocals"]}, "instrument_list is vocals", "vocals and accompaniment"),
        ({"model": SMALL_BLSTM}, "model.type is blstm.blstm", "unet.unet or unet.softmax_unet"),
        ({"sample_rate": 48000}, "sample_rate is 48000", "44100"),
        ({"F": 1536}, "F is 1536", "1024"),
        ({"T": 256}, "T is 256", "512"),
        ({"n_channels": 1}, "n_channels is 1", "only with 2"),
        ({"separation_exponent": 1}, "separation_exponent is 1.0", "2.0"),
        ({"mask_extension": "average"}, "mask_extension is average", "zeros"),
    ],
)
def test_what_sherpa_onnx_would_separate_otherwise_is_refused(keys, given, allowed):
    with raises(ExportError, given, allowed, hint="--format onnx or savedmodel"):
        check_exportable(small_config(**SPLEETERS | keys), "sherpa-onnx")
