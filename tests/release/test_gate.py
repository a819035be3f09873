import math

import pytest

from sepcore.errors import GateRefused
from sepcore.release.gate import check_gate
from tests.release.conftest import summary


def test_a_model_that_beats_the_mixture_in_every_stem_passes():
    check_gate(summary(vocals=(0.1, 0.0), drums=(-3.0, -5.0)))


@pytest.mark.parametrize("sdr", [0.0, -1.0, math.nan])
def test_a_stem_that_is_not_better_than_the_mixture_is_named_and_the_others_are_not(sdr):
    with pytest.raises(GateRefused, match=r"does not beat the untouched mixture for drums \(.*--force") as error:
        check_gate(summary(vocals=(5.0, 0.0), drums=(sdr, 0.0)))
    assert "vocals" not in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 1


def test_a_model_without_a_scored_stem_is_refused():
    with pytest.raises(GateRefused, match="for any stem"):
        check_gate(summary())
