import numpy as np
import pytest

from sepcore.evaluation.bsseval.sdr import global_scores
from sepcore.evaluation.bsseval.signals import ArraySignals
from tests.evaluation.conftest import noise


def scored(references, estimates):
    return global_scores(ArraySignals(references), ArraySignals(estimates))


def test_the_global_sdr_is_that_of_the_challenge():
    references, estimates = noise(channels=2)
    expected = [
        10 * np.log10(((true**2).sum() + 1e-7) / (((true - estimate) ** 2).sum() + 1e-7))
        for true, estimate in zip(references, estimates, strict=True)
    ]
    np.testing.assert_allclose(scored(references, estimates).global_sdr, expected)


def test_the_si_sdr_does_not_depend_on_the_estimates_scale():
    references, estimates = noise(channels=2)
    once, louder = scored(references, estimates), scored(references, 3 * estimates)
    np.testing.assert_allclose(louder.si_sdr, once.si_sdr)
    # What lies across the reference is a fifth of it, in amplitude.
    np.testing.assert_allclose(once.si_sdr, 20 * np.log10(5), atol=0.5)


@pytest.mark.parametrize("which", [0, 1], ids=["reference", "estimate"])
def test_a_silent_stem_has_no_score_and_leaves_the_others_theirs(which):
    signals = noise()
    expected = scored(*signals)
    signals[which][0] = 0
    scores = scored(*signals)
    assert np.isnan([scores.global_sdr[0], scores.si_sdr[0]]).all()
    assert scores.global_sdr[1] == expected.global_sdr[1]
    assert scores.si_sdr[1] == expected.si_sdr[1]


def test_a_perfect_estimate_has_an_infinite_si_sdr():
    references, _ = noise()
    assert (scored(references, 2 * references).si_sdr > 100).all()
