import numpy as np
import pytest

from sepcore.dataset.manifest import TrackRow
from sepcore.evaluation.track_evaluation import evaluate_track
from sepcore.evaluation.track_scores import read_track_scores
from sepcore.signal.audio_writer import write_audio
from tests.models import small_config

RATE = 8000


class HalfOfTheMixture:
    """A separator that gives half of the mixture to each stem, and counts its songs."""

    def __init__(self):
        self.config = small_config()
        self.songs = 0
        self.name = "half"

    def separate(self, waveform):
        self.songs += 1
        return {name: waveform / 2 for name in self.config.instruments}

    def fingerprint(self):
        return self.name


@pytest.fixture
def row(tmp_path):
    rng = np.random.default_rng(0)
    stems = {name: rng.uniform(-0.4, 0.4, (2 * RATE, 2)).astype(np.float32) for name in ("vocals", "accompaniment")}
    for name, waveform in {**stems, "mixture": sum(stems.values())}.items():
        write_audio(tmp_path / f"{name}.wav", waveform, sample_rate=RATE, bits=32)
    files = tuple((name, tmp_path / f"{name}.wav") for name in stems)
    return TrackRow("a song", tmp_path / "mixture.wav", files, 2.0)


def test_a_track_is_scored_beside_the_untouched_mixture(row, tmp_path):
    frames = read_track_scores(evaluate_track(row, HalfOfTheMixture(), tmp_path / "scores"))
    vocals = frames[frames.target == "vocals"]
    assert vocals.time_s.tolist() == [0.0, 1.0]
    # Half of the mixture errs by (accompaniment - vocals) / 2, the mixture by the accompaniment, as loud as the vocals.
    np.testing.assert_allclose(vocals.SDR, 10 * np.log10(2), atol=0.2)
    np.testing.assert_allclose(vocals.mixture_SDR, 0, atol=0.2)


def test_a_scored_track_is_not_scored_again_until_model_or_audio_change(row, tmp_path):
    separator = HalfOfTheMixture()
    for _ in range(2):
        evaluate_track(row, separator, tmp_path / "scores")
    assert separator.songs == 1
    separator.name = "retrained"
    evaluate_track(row, separator, tmp_path / "scores")
    assert separator.songs == 2
    write_audio(row.mixture, np.full((2 * RATE, 2), 0.1, np.float32), sample_rate=RATE)
    evaluate_track(row, separator, tmp_path / "scores")
    assert separator.songs == 3
