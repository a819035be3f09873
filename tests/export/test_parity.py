import numpy as np
import pytest

from sepcore.errors import ExportError
from sepcore.export.parity import LIMIT, export_difference, largest_difference, seeded_waveform
from sepcore.export.waveform_model import save_saved_model
from tests.export.conftest import random_network
from tests.models import TINY, small_config
from tests.raised import raises


def stems(**values):
    return {name: np.array([[value], [0.5]], np.float32) for name, value in values.items()}


def test_the_difference_is_the_largest_of_all_stems_as_a_part_of_the_peak_of_all():
    assert largest_difference(stems(a=-2, b=1), stems(a=-2, b=1.0001)) == pytest.approx(5e-5, rel=0.01)
    assert largest_difference(stems(a=0.5), stems(a=0.5)) == 0


@pytest.mark.parametrize("value", [1 + 1.1 * LIMIT, np.nan, np.inf])
def test_a_larger_one_is_an_error(value):
    with raises(ExportError, f"{abs(value - 1):.0e}", "1e-04", hint="--format"):
        largest_difference(stems(a=1), stems(a=value))


@pytest.mark.parametrize("actual", [stems(a=1), stems(a=1, c=1), {name: s[:1] for name, s in stems(a=1, b=1).items()}])
def test_other_names_or_shapes_are_an_error(actual):
    shapes, expected = ({name: array.shape for name, array in arrays.items()} for arrays in (actual, stems(a=1, b=1)))
    with raises(ExportError, f"exported model gives {shapes}", f"Keras model {expected}"):
        largest_difference(stems(a=1, b=1), actual)


def test_of_silence_the_difference_itself_counts():
    silence = {"a": np.zeros((2, 1), np.float32)}
    assert largest_difference(silence, silence) == 0
    with raises(ExportError, "5e-01", "1e-04"):
        largest_difference(silence, stems(a=0))


def test_the_files_of_another_model_are_found_out(tmp_path):
    config = small_config(model=TINY)
    save_saved_model(config, random_network(config, seed=1), tmp_path)
    with raises(ExportError, "Keras model", "1e-04", hint="--format"):
        export_difference("savedmodel", config, random_network(config, seed=0), tmp_path)


def test_the_seeded_signal_is_longer_than_a_segment_and_has_no_whole_frames():
    config = small_config(n_channels=1)
    waveform = seeded_waveform(config)
    assert waveform.shape[1] == 1
    assert len(waveform) % config.hop_length
    assert len(waveform) > config.segment_frames * config.hop_length
    np.testing.assert_array_equal(waveform, seeded_waveform(config))
