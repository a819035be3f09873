import numpy as np
import pytest

import sepcore.separation.wiener_stream
from sepcore import Separator
from sepcore.evaluation.bsseval.sdr import sdr_frames
from sepcore.separation.wiener_stream import wiener_filter
from sepcore.signal.audio_reader import read_waveform
from tests.models import write_model


@pytest.fixture(scope="module")
def separator(tmp_path_factory):
    return Separator(write_model(tmp_path_factory.mktemp("small")), mwf=True)


def set_windows(monkeypatch, window_s, overlap_s):
    monkeypatch.setattr(sepcore.separation.wiener_stream, "WINDOW_S", window_s)
    monkeypatch.setattr(sepcore.separation.wiener_stream, "OVERLAP_S", overlap_s)


def streamed(separator, waveform, pieces=7):
    parts = list(separator.stream(np.array_split(waveform, pieces)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.mark.parametrize("seconds", [4.9, 5.1, 8.0, 20.3])
def test_a_long_stream_is_filtered_in_windows_that_fade_into_each_other(separator, seconds, monkeypatch, caplog):
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, (int(seconds * 8000), 2)).astype(np.float32)
    whole = separator.separate(waveform)
    set_windows(monkeypatch, 4.0, 1.0)
    stems = streamed(separator, waveform)
    assert caplog.text.count("Wiener filtering works in windows") == (seconds > 5)
    for name, stem in whole.items():
        assert stems[name].shape == stem.shape
        # Noise has the same statistics everywhere; an edge or a gap between windows would be of the stem's own size.
        assert np.abs(stems[name] - stem).max() < 0.05 * np.abs(stem).max()


def test_windows_do_not_depend_on_how_the_waveform_is_cut(separator, monkeypatch):
    set_windows(monkeypatch, 2.0, 0.5)
    waveform = np.random.default_rng(1).uniform(-0.5, 0.5, (60_000, 2)).astype(np.float32)
    np.testing.assert_array_equal(
        streamed(separator, waveform, 1)["vocals"], streamed(separator, waveform, 50)["vocals"]
    )


def test_the_filter_leaves_the_mixture_as_it_is():
    rng = np.random.default_rng(2)
    mixture = (40 * rng.standard_normal((5, 9, 2)) + 40j * rng.standard_normal((5, 9, 2))).astype(np.complex64)
    before = mixture.copy()
    wiener_filter(np.abs(rng.standard_normal((2, 5, 9, 2))).astype(np.float32), mixture)
    np.testing.assert_array_equal(mixture, before)


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("song", ["Cristina Vane - So Easy", "The Mountaineering Club - Mallory"])
def test_windows_of_a_fifteenth_of_their_length_stay_within_a_tenth_of_a_decibel_of_the_whole_track(
    song, shared, monkeypatch, tmp_path
):
    monkeypatch.setenv("GITHUB_HOST", str(shared / "models"))
    monkeypatch.setenv("MODEL_PATH", str(tmp_path))
    separator = Separator("2stems", mwf=True)
    audio = {
        name: read_waveform(shared / "clips" / song / f"{name}.mp3", sample_rate=44100, num_channels=2)
        for name in ("mixture", *separator.instruments)
    }
    length = min(map(len, audio.values()))
    references = np.stack([audio[name][:length] for name in separator.instruments])

    def median_sdr(stems):
        estimates = np.stack([stems[name] for name in separator.instruments])
        return np.nanmedian(sdr_frames(references, estimates), axis=-1)

    whole = median_sdr(separator.separate(audio["mixture"][:length]))
    set_windows(monkeypatch, 20.0, 5.0)
    assert median_sdr(streamed(separator, audio["mixture"][:length])) == pytest.approx(whole, abs=0.1)
