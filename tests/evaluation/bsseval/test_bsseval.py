import os
import subprocess
import sys

import museval
import numpy as np
import pytest
from scipy.signal import lfilter

from sepcore.evaluation import bss_eval
from sepcore.evaluation.bsseval.bss_eval import bss_eval_signals
from sepcore.evaluation.bsseval.sdr import sdr_frames
from sepcore.evaluation.bsseval.signals import ArraySignals
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


@pytest.mark.parametrize(
    ("shape", "scale"),
    [
        ((3, 4 * RATE, 1), 1.0),
        ((1, 2 * RATE, 2), 1.0),
        ((1, 4 * RATE, 3), 1.0),
        ((2, 40 * RATE, 1), 1.0),
        ((2, 700, 1), 1.0),
        ((2, 2 * RATE, 1), 1e-5),
        ((2, 2 * RATE, 1), 1e4),
    ],
    ids=["3 stems", "1 stem", "3 channels", "several blocks", "shorter than a window", "quiet", "loud"],
)
def test_any_number_of_stems_and_channels_is_scored_as_by_museval(shape, scale):
    references, estimates = noise(*shape)
    # Colored: some 40 dB more in the bass than in the treble.
    references, estimates = (scale * lfilter([1], [1, -0.95], stems, axis=1) for stems in (references, estimates))
    expected = museval.evaluate(references, estimates, RATE, RATE)
    np.testing.assert_allclose(bss_eval(references, estimates, RATE, RATE), expected, rtol=0, atol=1e-5)


def test_musevals_own_computation_can_be_had():
    references, estimates = noise()
    expected = museval.evaluate(references, estimates, RATE, RATE)
    np.testing.assert_array_equal(bss_eval(references, estimates, RATE, RATE, "museval")[1:], expected[1:])


def test_a_window_longer_than_the_blocks_is_scored_as_by_museval():
    references, estimates = noise(stems=1, samples=150_000)
    expected = museval.evaluate(references, estimates, 100_000, 50_000)
    assert_equal(bss_eval(references, estimates, 100_000, 50_000), expected)


@pytest.mark.parametrize("panned", ["center", "left"])
def test_channels_that_follow_from_each_other_are_scored_as_by_museval(panned):
    references, estimates = noise(samples=2 * RATE, channels=2)
    references[0, :, 1] = references[0, :, 0] if panned == "center" else 0
    expected = museval.evaluate(references, estimates, RATE, RATE)
    assert_equal(bss_eval(references, estimates, RATE, RATE), expected)


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
    with pytest.raises(ValueError, match="engine is 'matlab'; expected one of fast, stable, museval"):
        bss_eval(*noise(), engine="matlab")


@pytest.mark.parametrize(
    ("references", "estimates", "message"),
    [
        (np.ones((2, 9, 1)), np.full((2, 9, 1), np.nan), "estimates holds NaN"),
        (np.full((2, 9, 1), np.inf), np.ones((2, 9, 1)), "references holds NaN or infinite"),
    ],
)
def test_samples_that_are_no_numbers_are_refused(references, estimates, message):
    with pytest.raises(ValueError, match=message):
        bss_eval(references, estimates)


# The stable engine


def band_limited_noise(factor=1.0):
    """Noise of which nothing is left above half the band, as of music from mp3: (stems, samples, channels)."""
    references, estimates = noise(samples=4 * RATE)
    bins = np.fft.rfftfreq(references.shape[1]) < 0.25
    return tuple(
        factor * np.fft.irfft(np.fft.rfft(stems, axis=1) * bins[:, None], axis=1) for stems in (references, estimates)
    )


@pytest.mark.parametrize("change", ["scale", "order"])
def test_the_stable_engine_does_not_depend_on_scale_or_order_where_musevals_does(change):
    def difference(engine):
        once = np.stack(bss_eval(*band_limited_noise(), RATE, RATE, engine))
        if change == "scale":
            return np.abs(np.stack(bss_eval(*band_limited_noise(3.7), RATE, RATE, engine)) - once)[2:].max()
        turned = (stems[::-1] for stems in band_limited_noise())
        return np.abs(np.stack(bss_eval(*turned, RATE, RATE, engine))[:, ::-1] - once)[2:].max()

    assert difference("museval") > 0.5
    assert difference("fast") > 0.5
    assert difference("stable") < 1e-4


def test_the_stable_engine_is_musevals_on_broadband_stems():
    references, estimates = noise()
    expected = museval.evaluate(references, estimates, RATE, RATE)
    np.testing.assert_allclose(bss_eval(references, estimates, RATE, RATE, "stable"), expected, rtol=0, atol=1e-4)


# Memory


class Metered(ArraySignals):
    """Stems that note the longest piece that was read of them."""

    longest = 0

    def read(self, start, stop):
        self.longest = max(self.longest, stop - start)
        return super().read(start, stop)


def test_a_long_track_and_a_long_window_are_read_in_pieces():
    references, estimates = (Metered(stems) for stems in noise(stems=1, samples=1_000_000))
    for window in (RATE, 1_000_000):
        bss_eval_signals(references, estimates, window, 500_000)
    assert references.longest < 300_000
    assert estimates.longest < 300_000


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


# In a process of its own: the workers of the tests start BLAS with one thread, which would be no change.
BLAS_SCRIPT = """
import threading
import numpy as np
from threadpoolctl import threadpool_info
from sepcore.evaluation.bsseval.bss_eval import one_blas_thread

def num_threads():
    assert (np.ones((2, 2)) @ np.ones(2)).all()  # BLAS is loaded
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

def use():
    with one_blas_thread():
        seen.append(num_threads())

before, seen = num_threads(), []
users = [threading.Thread(target=use) for _ in range(4)]
for user in users:
    user.start()
for user in users:
    user.join()
try:
    with one_blas_thread(), one_blas_thread():
        seen.append(num_threads())
        raise KeyError
except KeyError:
    print(before, seen, num_threads())
"""


def test_blas_has_its_threads_back_whoever_used_one_and_however_that_ended():
    command = [sys.executable, "-c", BLAS_SCRIPT]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    usual = min(2, os.cpu_count() or 1)  # OpenBLAS takes no more threads than there are cores
    assert ran.stdout.strip() == f"{{{usual}}} {[{1}] * 5} {{{usual}}}"
