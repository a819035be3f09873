import museval
import numpy as np
import pytest

from sepcore.evaluation import bss_eval
from sepcore.evaluation.sdr import sdr_frames
from tests.evaluation.conftest import RATE, noise


def assert_equal(scores, expected):
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("window", "hop"), [(RATE, RATE), (1500, 500), (10 * RATE, RATE)])
def test_scores_are_musevals(window, hop):
    references, estimates = noise()
    expected = museval.evaluate(references, estimates, win=window, hop=hop)
    for scores, reference in zip(bss_eval(references, estimates, window, hop), expected, strict=True):
        assert scores.dtype == np.float64
        assert_equal(scores, reference)


@pytest.mark.parametrize("length", [3500, 4500])
def test_an_estimate_of_another_length_is_scored_as_by_museval(length):
    references, estimates = noise(samples=4500)
    cut, given = references[:, :4000], estimates[:, :length]
    for scores, expected in zip(
        bss_eval(cut, given, RATE, RATE), museval.evaluate(cut, given, RATE, RATE), strict=True
    ):
        assert_equal(scores, expected)


@pytest.mark.parametrize("which", ["reference", "estimate"])
def test_a_window_with_a_silent_stem_is_nan_for_every_stem_as_in_museval(which):
    references, estimates = noise()
    (references if which == "reference" else estimates)[0, RATE : 2 * RATE] = 0
    scores = np.stack(bss_eval(references, estimates, RATE, RATE))
    assert_equal(scores, np.stack(museval.evaluate(references, estimates, RATE, RATE)))
    assert np.isnan(scores).all(axis=(0, 1)).tolist() == [False, True, False]


@pytest.mark.parametrize("which", ["reference", "estimate", "both"])
def test_a_stem_silent_throughout_is_nan_and_leaves_the_others_scores_alone(which):
    references, estimates = noise(stems=3, samples=2 * RATE)
    if which != "estimate":
        references[1] = 0
    if which != "reference":
        estimates[1] = 0
    scores = np.stack(bss_eval(references, estimates, RATE, RATE))
    assert np.isnan(scores[:, 1]).all()
    interfering = [0, 2] if which != "estimate" else [0, 1, 2]
    stand_ins = estimates.copy()
    stand_ins[1] = references[1]
    alone = museval.evaluate(references[interfering], stand_ins[interfering], RATE, RATE)
    for stem in (0, 2):
        assert_equal(scores[:, stem], np.stack(alone)[:, interfering.index(stem)])


def test_a_track_of_silence_is_all_nan():
    references, estimates = noise()
    scores = np.stack(bss_eval(np.zeros_like(references), estimates, RATE, RATE))
    assert scores.shape == (4, 2, 3)
    assert np.isnan(scores).all()


def test_an_unknown_engine_is_refused():
    with pytest.raises(ValueError, match="engine is 'matlab'; expected 'museval'"):
        bss_eval(*noise(), engine="matlab")


# The SDR alone


@pytest.mark.parametrize("shape", [(2, 4 * RATE, 1), (1, 2 * RATE, 2)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_sdr_alone_is_that_of_bsseval(shape, dtype):
    references, estimates = (signal.astype(dtype) for signal in noise(*shape))
    sdr, *_ = bss_eval(references, estimates, RATE, 500)
    assert_equal(sdr_frames(references, estimates, RATE, 500), sdr)


def test_the_sdr_alone_is_nan_where_that_of_bsseval_is():
    references, estimates = noise(stems=3)
    references[0, :RATE] = 0
    estimates[1, RATE : 2 * RATE] = 0
    estimates[2] = 0
    sdr, *_ = bss_eval(references, estimates, RATE, RATE)
    assert_equal(sdr_frames(references, estimates, RATE, RATE), sdr)
    assert np.isnan(sdr).sum() == 3 + 2 * 2


def test_a_perfect_estimate_has_an_infinite_sdr():
    references, _ = noise()
    assert (sdr_frames(references, references, RATE, RATE) == np.inf).all()


def test_the_sdr_of_half_the_stem_is_six_db():
    references, _ = noise()
    np.testing.assert_allclose(sdr_frames(references, references / 2, RATE, RATE), 20 * np.log10(2))
