"""What follows from the definition of BSSEval v4, for whatever stems."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepcore.evaluation import bss_eval

WINDOW = 800
SDR, ISR, SIR, SAR = range(4)

seeds = st.integers(0, 2**32 - 1)
engines = st.sampled_from(["fast", "stable"])


def stems(seed, *, windows=2, num_stems=2, channels=2):
    """Broadband references and estimates with some leakage, ``(stems, samples, channels)``."""
    rng = np.random.default_rng(seed)
    references = rng.uniform(0.05, 1, (num_stems, 1, channels)) * rng.standard_normal(
        (num_stems, windows * WINDOW, channels)
    )
    leakage = rng.uniform(0, 0.5, (num_stems, num_stems))
    estimates = references + np.tensordot(leakage, references, axes=1)
    return references, estimates + 0.1 * rng.standard_normal(estimates.shape)


def scored(references, estimates, engine):
    return np.stack(bss_eval(references, estimates, WINDOW, WINDOW, engine))


def assert_same(scores, expected):
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


@given(seeds, engines, st.floats(0.01, 100))
@settings(max_examples=5, deadline=None)
def test_scaling_an_estimate_changes_neither_sir_nor_sar_nor_the_other_stems(seed, engine, factor):
    references, estimates = stems(seed)
    once = scored(references, estimates, engine)
    estimates[0] *= factor
    again = scored(references, estimates, engine)
    assert_same(again[SIR:], once[SIR:])
    assert_same(again[:, 1], once[:, 1])


@given(seeds, engines, st.floats(1e-3, 1e3))
@settings(max_examples=5, deadline=None)
def test_scaling_everything_changes_nothing(seed, engine, factor):
    references, estimates = stems(seed)
    assert_same(scored(factor * references, factor * estimates, engine), scored(references, estimates, engine))


@given(seeds, engines)
@settings(max_examples=5, deadline=None)
def test_swapping_the_channels_of_everything_changes_nothing(seed, engine):
    references, estimates = stems(seed)
    swapped = scored(references[:, :, ::-1], estimates[:, :, ::-1], engine)
    assert_same(swapped, scored(references, estimates, engine))


@given(seeds, engines, st.permutations(range(3)))
@settings(max_examples=5, deadline=None)
def test_permuting_the_stems_permutes_the_scores(seed, engine, order):
    references, estimates = stems(seed, num_stems=3, channels=1)
    permuted = scored(references[order], estimates[order], engine)
    assert_same(permuted, scored(references, estimates, engine)[:, order])


@given(seeds, engines, st.integers(1, 2))
@settings(max_examples=5, deadline=None)
def test_silence_after_the_end_adds_windows_without_scores_and_changes_no_other(seed, engine, windows):
    references, estimates = stems(seed)
    once = scored(references, estimates, engine)
    longer = (np.pad(signals, ((0, 0), (0, windows * WINDOW), (0, 0))) for signals in (references, estimates))
    again = scored(*longer, engine)
    assert_same(again[:, :, :2], once)
    assert np.isnan(again[:, :, 2:]).all()


@given(seeds, engines, st.integers(0, 1), st.integers(0, 1), st.booleans())
@settings(max_examples=5, deadline=None)
def test_a_silent_window_is_nan_for_every_stem_and_leaves_no_other_window_without_a_score(
    seed, engine, window, stem, of_reference
):
    references, estimates = stems(seed)
    (references if of_reference else estimates)[stem, window * WINDOW : (window + 1) * WINDOW] = 0
    scores = scored(references, estimates, engine)
    assert np.isnan(scores[:, :, window]).all()
    assert np.isfinite(scores[:, :, 1 - window]).all()


def test_a_delayed_estimate_is_a_filtered_one():
    """Within 511 samples a delay is spatial distortion, neither interference nor artifact."""
    references, _ = stems(1)
    padded = np.pad(references, ((0, 0), (0, WINDOW), (0, 0)))
    sdr, isr, sir, _ = scored(padded, np.roll(padded, 100, axis=1), "fast")
    assert sdr[:, 0] == pytest.approx(isr[:, 0], abs=0.5)
    assert (sdr[:, 0] < 0).all()
    assert (sir[:, 0] > 10).all()
