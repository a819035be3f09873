import errno
import json
import os
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path
from unittest.mock import Mock

import pytest

from sepcore import load_config
from sepcore.config.load import WrongKeys, changed_config, model_name, parse_config
from sepcore.config.model_config import config_folder
from sepcore.config.network import NETWORK_PARAMS
from sepcore.errors import ConfigError
from tests.models import small_config
from tests.raised import raises


@pytest.mark.parametrize("name", sorted(file.stem for file in config_folder().glob("*.json")))
def test_every_shipped_config_loads_and_can_be_trained(name):
    load_config(name).check_trainable()


@pytest.mark.parametrize("path", ["mine", "./mine", "a/b", "..mine", "/models/mine", "Mein Modell é", None])
def test_a_model_dir_is_below_model_path_or_absolute(path):
    assert parse_config(json.dumps({"model_dir": path}), "mine.json").model_dir == path


def test_an_empty_config_is_spleeters_two_stem_model():
    config = parse_config("{}", "empty.json")
    assert (config.frame_length, config.hop_length, config.segment_frames, config.num_bins) == (4096, 1024, 512, 1024)
    assert config.instruments == ("vocals", "accompaniment")
    assert (config.optimizer, config.learning_rate, config.batch_size) == ("Adam", 1e-4, 4)
    assert config.model.params.conv_n_filters == (16, 32, 64, 128, 256, 512)


def test_spleeters_name_for_a_model_is_understood():
    assert load_config("spleeter:4stems") == load_config("4stems")


def test_the_16_khz_variants_see_16_5_khz():
    assert load_config("4stems-16kHz").bandwidth_hz == pytest.approx(16537.5)


def test_a_written_config_reads_back_equal():
    config = small_config(model={"type": "blstm.blstm", "params": {"lstm_units": 7}})
    assert parse_config(config.to_json(), "again.json") == config


@pytest.mark.parametrize(
    ("keys", "named", "hint"),
    [
        *(
            ({"model_dir": path}, ["model_dir", json.dumps(path), "MODEL_PATH", "'..'"], "")
            for path in ("", " ", ".", "./", "..", "../mine", "a/../..", "a/..", "/", "/models/../mine", "a\nb", "a\0")
        ),
        ({"frame_stpe": 1024}, ["frame_stpe"], "frame_step?"),
        ({"model": {"type": "unet.unet", "params": {"conv_activatoin": "ELU"}}}, ["conv_activatoin"], "activation?"),
        ({"zzz": 1}, ["zzz"], "T, augmentation, batch_norm_momentum, batch_size"),
        ({"F": 4096}, ["F is 4096", "frame_length of 4096", 2049], "Lower F."),
        ({"T": 100}, ["T is 100", "unet.unet", "multiple of 64"], "Try 64."),
        ({"F": 1000}, ["F is 1000", "unet.unet", "multiple of 64"], "Try 960."),
        ({"frame_step": 1000}, ["frame_step is 1000", "frame_length (4096)", "even", "multiple"], "Try 1024."),
        ({"frame_step": 2048}, ["frame_step is 2048", "at least 3"], "Try 1024."),
        ({"chunk_duration": 2}, ["chunk_duration is 2 s", "T = 512", "11.98 s"], "Raise chunk_duration or lower T."),
        ({"instrument_list": ["vocals", "vocals"]}, ["instrument_list", "'vocals'", "twice"], ""),
        ({"instrument_list": ["../vocals"]}, ["instrument_list", "'../vocals'", "letters"], ""),
        ({"instrument_list": ["mix", "vocals"]}, ["mix_name is 'mix'", "instrument_list"], ""),
        ({"model": {"type": "unet.tiny"}}, ["model.type", "'unet.tiny'", *NETWORK_PARAMS], ""),
        (
            {"model": {"params": {"conv_activation": "elu"}}},
            ["model.params.conv_activation", '"elu"', "'LeakyReLU', 'ReLU' or 'ELU'"],
            "",
        ),
        ({"model": {"params": {"conv_n_filters": [16, 32]}}}, ["model.params.conv_n_filters is [16, 32]", 6], ""),
        ({"loss_type": "L2"}, ['loss_type is "L2"', "'L1_mask', 'weighted_L1_mask', 'L2_mask', 'L1_complex'"], ""),
        ({"optimizer": "adam"}, ['optimizer is "adam"', "'Adam', 'Adadelta' or 'SGD'"], ""),
        ({"mask_extension": "mirror"}, ['mask_extension is "mirror"', "'zeros' or 'average'"], ""),
        ({"random_seed": 2**32}, ["random_seed is 4294967296", "less than 4294967296"], ""),
        ({"random_seed": -1}, ["random_seed is -1", "greater than or equal to 0"], ""),
        ({"sample_rate": "44100"}, ['sample_rate is "44100"', "integer"], ""),
        ({"augmentation": {"polarity": True}}, ["augmentation.polarity is true"], "cache_content to waveform"),
        ({"augmentation": {"time_shift_s": 0.5}}, ["augmentation.time_shift_s is 0.5"], "cache_content to waveform"),
        ({"augmentation": {"activity": 0.5}}, ["augmentation.activity is 0.5"], "cache_content to waveform"),
        ({"augmentation": {"activity": 1.5}}, ["augmentation.activity is 1.5", "less than or equal to 1"], ""),
        (
            {"cache_content": "waveform", "augmentation": {"pitch_shift": 1}},
            ["augmentation.pitch_shift is 1.0", "waveform"],
            "flows.augment",
        ),
        (
            {"cache_content": "waveform", "augmentation": {"time_stretch": 0.1}},
            ["augmentation.time_stretch is 0.1", "waveform"],
            "flows.augment",
        ),
        ({"n_chunks_per_song": 0}, ["n_chunks_per_song: 0"], '1 or more, or "all".'),
        ({"n_chunks_per_song": "every"}, ['n_chunks_per_song: "every"'], '1 or more, or "all".'),
        ({"cache_dtype": "int16"}, ["cache_dtype is int16", "spectrogram", "uint8 or float16"], "waveform."),
        (
            {"cache_content": "waveform", "cache_dtype": "uint8"},
            ["cache_dtype is uint8", "waveform", "int16 or int24"],
            "spectrogram.",
        ),
        ({"sample_rate": 10**9}, ["sample_rate is 1000000000", "less than or equal to 768000"], ""),
    ],
)
def test_a_mistake_is_one_line_with_key_value_and_what_is_allowed(keys, named, hint):
    with raises(ConfigError, *named, path="mine.json", hint=hint) as caught:
        parse_config(json.dumps(keys), "mine.json")
    assert "\n" not in str(caught.value)


def test_waveforms_are_cached_in_16_bits_unless_24_are_asked_for():
    keys = {"cache_content": "waveform"}
    plain, fine = (parse_config(json.dumps(keys | more), "x") for more in ({}, {"cache_dtype": "int24"}))
    assert (plain.cache_dtype, fine.cache_dtype) == ("int16", "int24")
    assert parse_config(plain.to_json(), "x") == plain
    assert changed_config(plain, {"cache_content": "spectrogram"}, "x").cache_dtype == "uint8"
    assert len({config.fingerprint() for config in (plain, fine, parse_config("{}", "x"))}) == 3


def test_every_mistake_gets_its_own_line_with_the_files_name():
    with raises(WrongKeys, "optimizer", "T", "frame_stpe", path="mine.json") as caught:
        parse_config(json.dumps({"optimizer": "adam", "T": 0, "frame_stpe": 1}), "mine.json")
    error = caught.value
    assert str(error).splitlines() == [str(fault) for fault in error.faults]
    assert [fault.path for fault in error.faults] == ["mine.json"] * 3
    assert "mine.json: frame_stpe is not a known key. Did you mean frame_step?" in str(error).splitlines()
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_of_very_many_mistakes_the_rest_is_counted():
    with raises(WrongKeys, "key0 ", "key19 ", path="mine.json") as caught:
        parse_config(json.dumps({f"key{number}": 1 for number in range(25)}), "mine.json")
    assert len(str(caught.value).splitlines()) == 21
    assert "5 more" in str(caught.value).splitlines()[-1]


def test_a_recurrent_network_takes_any_number_of_frames():
    assert parse_config(json.dumps({"T": 100, "model": {"type": "blstm.blstm"}}), "x").segment_frames == 100


def test_broken_json_is_reported_with_its_line():
    with raises(ConfigError, "JSON", "line 2", path="mine.json"):
        parse_config('{"T": 512,\n}', "mine.json")


def test_an_unknown_name_lists_the_known_ones():
    with raises(ConfigError, path="6stems", hint="2stems, 2stems-16kHz, 4stems, 4stems-16kHz, 5stems"):
        load_config("6stems")


def test_a_name_with_a_slip_is_answered_with_the_one_meant():
    with raises(ConfigError, path="2stem", hint="2stems?"):
        load_config("2stem")


def test_a_key_below_one_that_is_no_object_is_refused_where_it_was_set():
    with raises(ConfigError, "T.deep", "T is 512", path="--set"):
        changed_config(parse_config('{"T": 512}', "mine.json"), {"T.deep": 1}, "--set")


@pytest.mark.parametrize("name", ["mine.json", "mine.tar.gz"])
def test_a_file_that_may_not_be_read_says_why(name, tmp_path, monkeypatch):
    (tmp_path / name).touch()
    refused = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    monkeypatch.setattr(Path, "open", Mock(side_effect=refused))
    with raises(ConfigError, os.strerror(errno.EACCES), path=tmp_path / name, hint="readable") as caught:
        load_config(tmp_path / name)
    assert caught.value.errno == errno.EACCES


def test_a_folder_without_a_config_and_a_tarball_without_one_are_told_apart(tmp_path):
    with raises(ConfigError, "config.json", path=tmp_path, hint="2stems"):
        load_config(tmp_path)
    with tarfile.open(tmp_path / "mine.tar.gz", "w:gz") as archive:
        archive.add(__file__, "other.json")
    with raises(ConfigError, "config.json", path=tmp_path / "mine.tar.gz", hint="-p NAME"):
        load_config(tmp_path / "mine.tar.gz")


def test_a_long_segment_is_fine_for_separation_and_refused_for_training():
    config = parse_config('{"T": 1024}', "long.json")
    with pytest.raises(ValueError, match="Raise chunk_duration or lower T"):
        config.check_trainable()


def test_a_tarball_and_a_folder_lead_to_the_config_inside(tmp_path):
    config = small_config()
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text(config.to_json())
    with tarfile.open(tmp_path / "mine.tar.gz", "w:gz") as archive:
        archive.add(folder / "config.json", "config.json")
    assert load_config(folder) == load_config(tmp_path / "mine.tar.gz") == config
    assert [model_name(path) for path in (folder, tmp_path / "mine.tar.gz", "spleeter:2stems")] == [
        "run",
        "mine",
        "2stems",
    ]


def test_the_fingerprint_changes_with_the_weights_and_not_with_paths_or_length_of_training():
    config = small_config()
    assert config.fingerprint() == small_config(train_csv="x.csv", train_max_steps=5, MWF=True).fingerprint()
    assert config.fingerprint() != small_config(learning_rate=1e-3).fingerprint()
    assert config.fingerprint() != small_config(model={"params": {"conv_n_filters": [2, 3, 4, 5, 6, 8]}}).fingerprint()


def test_importing_sepcore_loads_neither_tensorflow_nor_pandas():
    code = "import sys, sepcore, sepcore.config.load; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"tensorflow", "keras", "pandas", "musdb", "prefect", "mlflow"} & set(loaded)


def test_a_key_at_its_default_leaves_the_fingerprint_as_it_is():
    plain = parse_config("{}", "mine.json")
    written_out = parse_config(json.dumps({"learning_rate": 1e-4, "ema": 0.0, "schedule": "constant"}), "mine.json")
    assert written_out.fingerprint() == plain.fingerprint() == parse_config(plain.to_json(), "copy.json").fingerprint()


@pytest.mark.parametrize(
    ("keys", "changed", "differ"),
    [
        ({}, {"learning_rate": 1e-3}, True),
        ({}, {"dropout": 0.1}, True),
        ({}, {"throttle_secs": 5.0}, False),
        ({"init_from": "2stems"}, {"init_from": "pretrained_models/2stems"}, False),
        ({}, {"train_max_steps": 7}, False),
        ({"schedule": "cosine"}, {"train_max_steps": 7}, True),
        ({}, {"validation_songs": 5}, False),
        ({"model_choice": "validation_sdr"}, {"validation_songs": 5}, True),
    ],
)
def test_what_decides_the_weights_decides_the_fingerprint(keys, changed, differ):
    before, after = (parse_config(json.dumps(content), "mine.json") for content in (keys, keys | changed))
    assert (before.fingerprint() != after.fingerprint()) is differ


@pytest.mark.parametrize(
    ("keys", "named", "hint"),
    [
        ({"num_devices": 3}, ["batch_size is 4", "num_devices = 3", "multiple"], "Try 6."),
        (
            {"model_choice": "validation_sdr", "validation_songs": 0},
            ["model_choice is 'validation_sdr'", "validation_songs 0", "at least 1"],
            "",
        ),
        (
            {"schedule": "cosine", "warmup_steps": 9, "train_max_steps": 9},
            ["warmup_steps is 9", "cosine", "9 steps"],
            "Try 0.",
        ),
    ],
)
def test_training_keys_that_do_not_fit_each_other_are_refused(keys, named, hint):
    with raises(ConfigError, *named, path="mine.json", hint=hint):
        parse_config(json.dumps(keys), "mine.json")


def test_the_values_that_change_a_config_are_not_changed_themselves():
    keys = {
        "model": {"type": "unet.unet", "params": {"conv_activation": "ELU"}},
        "model.params.conv_activation": "ReLU",
    }
    before = json.loads(json.dumps(keys))
    changed = changed_config(parse_config('{"T": 512}', "mine.json"), keys, "--set")
    assert changed.model.params.conv_activation == "ReLU"
    assert keys == before


@pytest.mark.parametrize(
    "keys",
    [
        {"model": {"type": "blstm.blstm"}, "T": 2},
        {"model": {"type": "blstm.blstm"}, "T": 4, "frame_step": 512},
        {"T": 64, "frame_length": 8192, "frame_step": 64},
        {"T": 1024},
        {"model": {"type": "scnet.scnet"}, "T": 1024, "F": 2049},
        {"model": {"type": "scnet.scnet"}, "T": 2, "F": 2049, "loss_type": "L1_complex"},
    ],
)
def test_any_length_of_segments_separates_and_comes_back_from_its_json(keys):
    config = parse_config(json.dumps(keys), "config")
    assert parse_config(config.to_json(), "again") == config


def test_consistency_decides_weights_only_where_they_are_chosen_by_sdr():
    network = {"model": {"type": "scnet.scnet"}, "T": 64, "F": 2049}
    plain, by_sdr = network, network | {"model_choice": "validation_sdr"}
    for keys, is_equal in ((plain, True), (by_sdr, False)):
        prints = {
            parse_config(json.dumps(keys | {"mixture_consistency": value}), "config").fingerprint()
            for value in (False, True)
        }
        assert (len(prints) == 1) is is_equal
