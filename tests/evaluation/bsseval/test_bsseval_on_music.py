"""BSSEval beside museval on real music, whose empty bands leave museval's own filters open to rounding."""

import json

import musdb
import museval
import numpy as np
import pytest

from sepcore.evaluation import bss_eval
from sepcore.signal.audio_reader import read_waveform

CLIPS = ["Cristina Vane - So Easy", "The Mountaineering Club - Mallory"]
STEMS = ("vocals", "accompaniment")
RATE = 44100


@pytest.fixture(scope="module", params=CLIPS)
def clip(request, shared):
    """Ten seconds of references, decoded from mp3 to float, and estimates in which 20 % of the other stem is heard."""
    folder = shared / "clips" / request.param
    references = np.stack(
        [read_waveform(folder / f"{stem}.mp3", sample_rate=RATE, num_channels=2, duration_s=10) for stem in STEMS]
    ).astype(np.float64)
    rng = np.random.default_rng(0)
    return references, references + 0.2 * references[::-1] + 1e-3 * rng.standard_normal(references.shape)


@pytest.mark.shared
@pytest.mark.slow
def test_on_mp3_the_scores_are_as_near_to_musevals_as_musevals_are_to_themselves(clip):
    expected, scaled = (np.stack(museval.evaluate(factor * clip[0], factor * clip[1])) for factor in (1, 3.7))
    scores = np.stack(bss_eval(*clip))
    np.testing.assert_allclose(scores[0], expected[0], rtol=0, atol=1e-6)
    # Both are rounding, drawn anew: a few times the other's largest is what chance gives.
    own = np.abs(scaled - expected).max(axis=(1, 2))
    assert (np.abs(scores - expected).max(axis=(1, 2)) <= 5 * own + 1e-3).all()
    np.testing.assert_allclose(np.median(scores, axis=2), np.median(expected, axis=2), rtol=0, atol=0.05)


@pytest.mark.shared
@pytest.mark.slow
def test_the_regression_reference_of_museval_is_reproduced(shared):
    track = musdb.DB(root=shared / "musdb_sample", subsets="train").tracks[0]
    reference = json.loads((shared / "musdb_sample" / "museval_reference.json").read_text())["targets"]
    np.random.seed(0)  # noqa: NPY002 -- as the reference was made
    estimates = {stem: np.random.random(track.audio.shape) for stem in STEMS}  # noqa: NPY002 -- likewise
    true = np.stack([track.targets[stem].audio for stem in STEMS])
    scores = dict(zip(("SDR", "ISR", "SIR", "SAR"), bss_eval(true, np.stack(list(estimates.values()))), strict=True))
    assert {target["name"] for target in reference} == set(STEMS)
    for target in reference:
        for index, frame in enumerate(target["frames"]):
            for metric, expected in frame["metrics"].items():
                assert scores[metric][STEMS.index(target["name"]), index] == pytest.approx(expected, abs=0.1)
