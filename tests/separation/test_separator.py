import json
import shutil
from threading import Timer

import numpy as np
import pytest

from sepcore import Separator, load_config
from sepcore.engines.select import chosen_precision
from sepcore.errors import AudioDecodeError, CheckpointError, ConfigError, ProviderError
from sepcore.separation.settings import SeparatorSettings
from sepcore.separation.shared import shared_separator
from sepcore.signal.audio_reader import read_waveform
from sepcore.signal.audio_writer import write_audio
from tests import golden
from tests.models import TINY, small_config, write_model
from tests.raised import raises


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a small two-stem model: config.json and model/."""
    return write_model(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def separator(model):
    return Separator(model)


def song(samples=30_000, channels=2, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (samples, channels)).astype(np.float32)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_network_that_is_loaded_early_is_that_of_the_files_when_it_is_needed(replaced, model, tmp_path):
    other = write_model(tmp_path / "other", seed=5)
    shutil.copytree(model, tmp_path / "used")
    early = Separator(tmp_path / "used", load=False)
    early.load_early()
    assert early._early is not None
    early._early.result()
    if replaced:
        shutil.copytree(other, tmp_path / "used", dirs_exist_ok=True)
    expected = Separator(other if replaced else model)
    np.testing.assert_array_equal(early.separate(song())["vocals"], expected.separate(song())["vocals"])
    assert early.fingerprint() == expected.fingerprint()


@pytest.mark.parametrize("mended", [False, True])
def test_what_goes_wrong_early_counts_only_if_it_still_does_when_the_network_is_needed(mended, model, tmp_path):
    shutil.copytree(model, tmp_path, dirs_exist_ok=True)
    next(tmp_path.rglob("*.index")).write_bytes(b"no table")
    early = Separator(tmp_path, load=False)
    early.load_early()
    assert early._early is not None
    assert early._early.exception()
    if not mended:
        with pytest.raises(CheckpointError):
            early.load()
    shutil.copytree(model, tmp_path, dirs_exist_ok=True)
    assert early.load()


def test_the_automatic_precision_is_one_of_the_others_and_counts_as_it(model):
    chosen = Separator(model, precision="auto")
    assert chosen.settings.precision == chosen_precision("auto", "auto", chosen.config) != "auto"
    assert chosen.fingerprint() == Separator(model, precision=chosen.settings.precision).fingerprint()
    assert Separator(model, engine="tensorflow", precision="auto", load=False).settings.precision == "float32"
    assert chosen_precision("auto", "auto", small_config(model=TINY)) == "float32"  # may have to run on TensorFlow
    settings = SeparatorSettings(str(model), precision="auto")
    assert shared_separator(settings) is shared_separator(shared_separator(settings).settings)


ENGINES = ["tensorflow", "openvino"]


def check_case(case, engine, waveform, expected, monkeypatch, tmp_path, tolerance):
    folder = tmp_path / case.name
    shutil.copytree(case, folder, copy_function=shutil.copyfile)
    (folder / "model").chmod(0o755)
    monkeypatch.setenv("MODEL_PATH", str(folder))
    stems = Separator(folder / "config.json", engine=engine).separate(waveform)
    assert list(stems) == list(expected)
    for instrument, windows in expected.items():
        for start, window in windows.items():
            difference = np.abs(stems[instrument][start : start + len(window)] - window).max()
            assert difference <= tolerance * np.abs(window).max(), (instrument, start)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", golden.cases(), ids=lambda case: case.name)
def test_stems_are_spleeters_on_every_engine(case, engine, monkeypatch, tmp_path):
    _, waveform, expected = golden.load_case(case)
    # Tight enough to notice any one weight that is 20 % off; 4e-6 is what was seen.
    check_case(case, engine, waveform, expected, monkeypatch, tmp_path, tolerance=2e-5)


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["softmax_5stems", "unet_2stems_average_exp1", "unet_4stems_elu", "unet_4stems_mwf"])
def test_stems_of_full_sized_spectrograms_are_spleeters_on_every_engine(name, engine, shared, monkeypatch, tmp_path):
    case = shared / "golden" / name
    with np.load(case / "expected.npz") as stored:
        expected = {}
        for index, start in enumerate(stored["starts"]):
            for key in (key for key in stored.files if key.endswith(f"_{index}")):
                expected.setdefault(key.removesuffix(f"_{index}"), {})[int(start)] = stored[key]
    waveform = read_waveform(case / "input.wav", sample_rate=44100, num_channels=2)
    ordered = {name: expected[name] for name in load_config(case).instruments}
    check_case(case, engine, waveform, ordered, monkeypatch, tmp_path, tolerance=1e-4)


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


@pytest.mark.parametrize("mwf", [False, True])
@pytest.mark.parametrize(
    "quality", [{"overlap": 0.25}, {"overlap": 0.75}, {"shifts": 3}, {"overlap": 0.5, "shifts": 2}]
)
def test_overlap_and_shifts_keep_the_length_stream_as_the_whole_and_change_little(model, quality, mwf):
    waveform = song(30_000)
    separator = Separator(model, mwf=mwf, **quality)
    whole, plain = separator.separate(waveform), Separator(model, mwf=mwf).separate(waveform)
    pieces = list(separator.stream(np.array_split(waveform, 5)))
    for instrument, stem in whole.items():
        np.testing.assert_array_equal(np.concatenate([piece[instrument] for piece in pieces]), stem)
        assert stem.shape == waveform.shape
        assert 0 < np.abs(stem - plain[instrument]).max() < 0.5 * np.abs(waveform).max()
    if not mwf and "shifts" not in quality:  # masks add up to 1 below F, however they are faded
        np.testing.assert_allclose(sum(whole.values()), sum(plain.values()), atol=2e-6)


@pytest.mark.parametrize(
    ("settings", "named", "hint"),
    [
        ({"overlap": 0.95}, ["overlap", 0.95], "0 to 0.9"),
        ({"overlap": -0.1}, ["overlap", -0.1], "0 to 0.9"),
        ({"shifts": 0}, ["shifts", 0], "to 64"),
        ({"precision": "int8"}, ["precision", "'int8'"], "float32, bfloat16"),
        ({"engine": "gpu"}, ["engine", "'gpu'"], "auto, openvino, tensorflow"),
    ],
)
def test_settings_out_of_range_are_refused(model, settings, named, hint):
    with raises(ConfigError, *named, hint=hint):
        Separator(model, **settings)


def test_a_fingerprint_tells_separations_apart_and_loads_no_network(model, tmp_path):
    other = write_model(tmp_path, seed=1)
    prints = [
        Separator(model, load=False, **settings).fingerprint()
        for settings in ({}, {"mwf": True}, {"overlap": 0.5}, {"shifts": 2}, {"precision": "bfloat16"})
    ]
    prints.append(Separator(other, load=False).fingerprint())
    assert len(set(prints)) == len(prints)
    assert prints[0] == Separator(model, engine="tensorflow", load=False).fingerprint()


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


def test_a_file_becomes_what_is_asked_for(separator, tmp_path):
    write_audio(tmp_path / "song.wav", song(), sample_rate=8000)
    files = separator.separate_to_file(tmp_path / "song.wav", tmp_path, codec="flac", stems=["vocals"], residual=True)
    assert sorted(files) == ["residual", "vocals"]
    shared = separator.separate_to_file(tmp_path / "song.wav", tmp_path, codec="stem.mp4")
    assert shared == {"stems": tmp_path / "song.stem.mp4"}
    with raises(ConfigError, "stems", "no drums", hint="vocals"):
        separator.separate_to_file(tmp_path / "song.wav", tmp_path, stems=["drums"])


def test_offset_and_duration_cut_and_a_cut_is_said(separator, tmp_path, caplog):
    waveform = song()
    write_audio(tmp_path / "song.wav", waveform, sample_rate=8000, bits=32)
    files = separator.separate_to_file(tmp_path / "song.wav", tmp_path, offset=1.0, duration=1.5, bits=32)
    stem = read_waveform(files["vocals"], sample_rate=8000, num_channels=2)
    np.testing.assert_array_equal(stem, separator.separate(waveform[8000:20_000])["vocals"])
    assert "song.wav: cut after 1.5 s of 4 s, as -d says" in caplog.text


def test_a_file_that_breaks_leaves_no_stem(separator, tmp_path):
    (tmp_path / "text.mp3").write_text("not music")
    with raises(AudioDecodeError, path=tmp_path / "text.mp3"):
        separator.separate_to_file(tmp_path / "text.mp3", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*"))


def test_wrong_weights_and_an_unknown_model_are_refused(model, tmp_path, monkeypatch):
    monkeypatch.setenv("MODEL_PATH", str(tmp_path))
    (tmp_path / "config.json").write_text(small_config(instrument_list=["a", "b", "c"], model_dir=str(model)).to_json())
    (tmp_path / "other.json").write_text(small_config(model_dir=str(model / "model"), n_channels=1).to_json())
    with raises(CheckpointError, "tensors", "shape"):
        Separator(tmp_path / "other.json")
    with raises(ProviderError, "*.index", "*.data-*", tmp_path, path=tmp_path / "config.json"):
        Separator(tmp_path / "config.json")
    with raises(ConfigError, "no such model", path="6stems"):
        Separator("6stems")


@pytest.mark.parametrize("late", ["model.index", "model.data-00000-of-00001"])
@pytest.mark.parametrize("part", [0.0, 0.5])
def test_a_checkpoint_that_is_still_being_copied_over_another_is_waited_for(late, part, model, tmp_path):
    write_model(tmp_path, seed=1)
    shutil.copytree(model, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(late))
    content = (model / "model" / late).read_bytes()
    copied = tmp_path / "model" / late
    copied.write_bytes(content[: int(len(content) * part)])
    copying = Timer(0.3, copied.write_bytes, [content])
    copying.start()
    separator = Separator(tmp_path)
    copying.join()
    assert separator.fingerprint() == Separator(model).fingerprint()


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"sample_rate": 22050}, "sample_rate"),
        ({"instrument_list": ["accompaniment", "vocals"]}, "instrument_list"),
        ({"frame_length": 256, "frame_step": 64}, "frame_length, frame_step"),
        ({"model.params.conv_activation": "ELU"}, "model"),
        ({"F": 128, "mask_extension": "average", "separation_exponent": 1.0}, None),
        ({"sample_rate": 8000}, None),
    ],
)
def test_a_key_that_the_weights_were_trained_with_is_warned_of(overrides, told, model, tmp_path, caplog):
    shutil.copytree(model, tmp_path, dirs_exist_ok=True)
    with caplog.at_level("WARNING"):
        Separator.of(SeparatorSettings(str(tmp_path), overrides=overrides))
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == (told is not None)
    assert told is None or f"another {told} than" in warnings[0]


def test_a_key_with_another_value_counts_as_if_the_config_had_it(model, separator, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(model, changed)
    config = json.loads((model / "config.json").read_text()) | {"mask_extension": "average", "MWF": True}
    (changed / "config.json").write_text(json.dumps(config))
    overridden = Separator(model, overrides={"mask_extension": "average", "MWF": True})
    expected = Separator(changed)
    assert overridden.mwf
    assert overridden.fingerprint() == expected.fingerprint() != separator.fingerprint()
    assert not overridden.is_outdated()
    waveform = song()
    for name, stem in expected.separate(waveform).items():
        np.testing.assert_array_equal(overridden.separate(waveform)[name], stem)


@pytest.mark.parametrize(
    ("overrides", "named", "hint"),
    [({"mask_extnsion": "average"}, "mask_extnsion", "mask_extension"), ({"F": 4096}, "F", "")],
)
def test_a_key_that_cannot_be_changed_is_named(overrides, named, hint, model):
    with raises(ConfigError, named, hint=hint):
        Separator(model, overrides=overrides)


def test_other_stems_than_the_weights_are_for_are_refused(model):
    with pytest.raises(CheckpointError):
        Separator(model, overrides={"instrument_list": ["vocals", "drums", "bass"]})
