import numpy as np
import pytest

import sepcore.separator
from sepcore import Separator
from sepcore.errors import AudioDecodeError, CheckpointError, ConfigError, ProviderError
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import write_checkpoint
from sepcore.signal.audio_reader import read_waveform
from sepcore.signal.audio_writer import write_audio
from tests import golden
from tests.models import randomise, small_config


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a small two-stem model: config.json and model/."""
    folder = tmp_path_factory.mktemp("small")
    config = small_config()
    network = build_network(config)
    randomise(network)
    write_checkpoint(network, folder / "model", step=1)
    (folder / "config.json").write_text(config.to_json())
    return folder


@pytest.fixture(scope="module")
def separator(model):
    return Separator(model)


def song(samples=30_000, channels=2, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (samples, channels)).astype(np.float32)


def check_case(folder, waveform, expected, monkeypatch, tolerance):
    monkeypatch.setenv("MODEL_PATH", str(folder))
    stems = Separator(folder / "config.json").separate(waveform)
    assert list(stems) == list(expected)
    for instrument, windows in expected.items():
        for start, window in windows.items():
            difference = np.abs(stems[instrument][start : start + len(window)] - window).max()
            assert difference <= tolerance * np.abs(window).max(), (instrument, start)


@pytest.mark.parametrize("case", golden.cases(), ids=lambda case: case.name)
def test_stems_are_spleeters(case, monkeypatch):
    _, waveform, expected = golden.load_case(case)
    # Tight enough to notice any one weight that is 20 % off; 4e-6 is what was seen.
    check_case(case, waveform, expected, monkeypatch, tolerance=2e-5)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["softmax_5stems", "unet_2stems_average_exp1", "unet_4stems_elu", "unet_4stems_mwf"])
def test_stems_of_full_sized_spectrograms_are_spleeters(name, shared, monkeypatch):
    case = shared / "golden" / name
    with np.load(case / "expected.npz") as stored:
        expected = {}
        for index, start in enumerate(stored["starts"]):
            for key in (key for key in stored.files if key.endswith(f"_{index}")):
                expected.setdefault(key.removesuffix(f"_{index}"), {})[int(start)] = stored[key]
    waveform = read_waveform(case / "input.wav", sample_rate=44100, num_channels=2)
    order = Separator(case).instruments
    check_case(case, waveform, {name: expected[name] for name in order}, monkeypatch, tolerance=1e-4)


@pytest.mark.parametrize("mwf", [False, True])
@pytest.mark.parametrize("samples", [1, 8000, 30_000])
def test_a_stream_gives_the_samples_of_the_whole(model, mwf, samples):
    separator = Separator(model, mwf=mwf)
    waveform = song(samples)
    whole = separator.separate(waveform)
    pieces = list(separator.stream(iter(np.split(waveform, [samples // 5, samples // 2]))))
    for instrument, stem in whole.items():
        assert stem.shape == waveform.shape
        np.testing.assert_array_equal(np.concatenate([piece[instrument] for piece in pieces]), stem)


def test_wiener_filtering_of_a_long_stream_works_in_windows_and_says_so(model, monkeypatch, caplog):
    separator = Separator(model, mwf=True)
    monkeypatch.setattr(sepcore.separator, "MWF_WINDOW_S", 1.5)  # one segment of 64 frames
    waveform = song(40_000)
    streamed = np.concatenate([piece["vocals"] for piece in separator.stream([waveform])])
    assert "Wiener filtering works in windows" in caplog.text
    whole = separator.separate(waveform)["vocals"]
    assert streamed.shape == whole.shape
    assert np.abs(streamed - whole).max() < 0.2 * np.abs(whole).max()


def test_an_instance_separates_song_after_song_without_a_trace_of_the_last(separator):
    first = separator.separate(song(seed=1))["vocals"]
    separator.separate(song(seed=2))
    np.testing.assert_array_equal(separator.separate(song(seed=1))["vocals"], first)


def test_the_input_is_not_changed(separator):
    waveform = song()
    before = waveform.copy()
    separator.separate(waveform)
    np.testing.assert_array_equal(waveform, before)


def test_mono_is_separated_as_two_equal_channels(separator):
    mono = song(channels=1)
    both = separator.separate(np.repeat(mono, 2, axis=1))
    for instrument, stem in separator.separate(mono).items():
        np.testing.assert_array_equal(stem, both[instrument])


def test_silence_stays_silent_and_an_empty_waveform_empty(separator):
    assert not separator.separate(np.zeros((9000, 2), np.float32))["vocals"].any()
    assert separator.separate(np.zeros((0, 2), np.float32))["vocals"].shape == (0, 2)


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (np.zeros(100, np.float32), r"A mono signal is waveform\[:, None\]"),
        (np.zeros((100, 2), np.int16), r"waveform is int16 of shape \(100, 2\); expected float32"),
        (np.full((100, 2), np.nan, np.float32), "holds NaN or infinity"),
    ],
)
def test_what_is_no_waveform_is_refused(separator, waveform, message):
    with pytest.raises(ValueError, match=message):
        separator.separate(waveform)


def test_a_file_becomes_a_file_per_stem(separator, tmp_path):
    waveform = song()
    write_audio(tmp_path / "My Song.wav", waveform, sample_rate=8000, bits=32)
    files = separator.separate_to_file(tmp_path / "My Song.wav", tmp_path / "out", bits=32)
    assert files["vocals"] == tmp_path / "out" / "My Song" / "vocals.wav"
    for instrument, stem in separator.separate(waveform).items():
        np.testing.assert_array_equal(read_waveform(files[instrument], sample_rate=8000, num_channels=2), stem)


def test_offset_and_duration_cut_and_a_cut_is_said(separator, tmp_path, caplog):
    waveform = song()
    write_audio(tmp_path / "song.wav", waveform, sample_rate=8000, bits=32)
    files = separator.separate_to_file(tmp_path / "song.wav", tmp_path, offset=1.0, duration=1.5, bits=32)
    stem = read_waveform(files["vocals"], sample_rate=8000, num_channels=2)
    np.testing.assert_array_equal(stem, separator.separate(waveform[8000:20_000])["vocals"])
    assert "song.wav: cut after 1.5 s of 4 s, as -d says" in caplog.text


def test_a_file_that_breaks_leaves_no_stem(separator, tmp_path):
    (tmp_path / "text.mp3").write_text("not music")
    with pytest.raises(AudioDecodeError, match=r"text\.mp3"):
        separator.separate_to_file(tmp_path / "text.mp3", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*"))


def test_wrong_weights_an_unknown_model_and_an_unknown_engine_are_refused(model, tmp_path, monkeypatch):
    monkeypatch.setenv("MODEL_PATH", str(tmp_path))
    (tmp_path / "config.json").write_text(small_config(instrument_list=["a", "b", "c"], model_dir=str(model)).to_json())
    (tmp_path / "other.json").write_text(small_config(model_dir=str(model / "model"), n_channels=1).to_json())
    with pytest.raises(CheckpointError, match="have another shape"):
        Separator(tmp_path / "other.json")
    with pytest.raises(ProviderError, match="no complete checkpoint"):
        Separator(tmp_path / "config.json")
    with pytest.raises(ConfigError, match="6stems: no such model or file"):
        Separator("6stems")
    with pytest.raises(ConfigError, match="engine is 'gpu'"):
        Separator(model, engine="gpu")
