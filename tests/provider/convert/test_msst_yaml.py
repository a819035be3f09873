import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sepcore.config.load import parse_config
from sepcore.errors import ConfigError
from sepcore.provider.convert.msst_yaml import is_own_yaml, msst_yaml, read_model_yaml, scnet_keys
from tests.raised import raises

MSST = """
audio:
  chunk_size: 485100 # 44100 * 11
  num_channels: 2
  sample_rate: 44100
model:
  sources: [vocals, other]
  audio_channels: 2
  dims: [4, 64, 128, 256]
  nfft: 4096
  hop_size: 1024
  win_size: 4096
  normalized: True
  band_SR: [0.225, 0.372, 0.403]
training:
  instruments:
    - other
    - vocals
  target_instrument: null
  lr: 1.0e-04
augmentations:
  mixup_probs:
    !!python/tuple # 2 additional stems
    - 0.2
    - 0.02
inference:
  num_overlap: 4
"""
AUTHORS = """
data: {samplerate: 44100, segment: 11, sources: ['drums', 'bass', 'other', 'vocals']}
model:
  sources: ['drums', 'bass', 'other', 'vocals']
  nfft: 4096
  normalized: True
  num_dplayer: 6
epochs: 150
"""


@pytest.fixture
def of(tmp_path):
    def read(text):
        path = tmp_path / "model.yaml"
        path.write_text(text, "utf-8")
        return parse_config(json.dumps(read_model_yaml(path).keys), path.name)

    return read


def test_a_yaml_of_msst_gives_the_stems_in_the_order_in_which_it_trains_them(of):
    config = of(MSST)
    assert config.instruments == ("other", "vocals")
    assert (config.segment_frames, config.num_bins) == (476, 2049)
    assert (config.stft_window, config.stft_padding, config.stft_normalized) == ("rectangular", "centered", True)
    assert (config.model.params.dims, config.model.params.band_shares) == ((4, 64, 128, 256), (0.225, 0.372, 0.403))


def test_a_yaml_of_the_author_gives_the_authors_network(of):
    config = of(AUTHORS)
    assert config.instruments == ("drums", "bass", "other", "vocals")
    assert config.segment_frames == 476
    assert config.model.params == type(config.model.params)()


def test_the_chunk_of_the_inference_goes_before_that_of_the_training(of):
    assert of(MSST + "  chunk_size: 264600\n").segment_frames == 260


@given(samples=st.integers(1024, 2_000_000), hop=st.sampled_from([256, 512, 1024]))
def test_frames_are_as_many_as_the_network_makes_by_padding(samples, hop, tmp_path_factory):
    path = tmp_path_factory.mktemp("yaml") / "model.yaml"
    path.write_text(f"model: {{hop_size: {hop}}}\naudio: {{chunk_size: {samples}}}\n")
    padding = hop - samples % hop  # as in SCNet.forward
    if (samples + padding) // hop % 2 == 0:
        padding += hop
    assert read_model_yaml(path).keys["T"] == 1 + (samples + padding) // hop


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (MSST, ""),
        (MSST + "  normalize: false\n", ""),
        (MSST + "  normalize: true\n", "inference.normalize"),
        (AUTHORS.replace("segment: 11", "segment: 11, normalize: True"), "data.normalize"),
    ],
)
def test_a_yaml_that_asks_for_songs_of_one_level_is_known(text, key, tmp_path):
    (tmp_path / "model.yaml").write_text(text)
    assert read_model_yaml(tmp_path / "model.yaml").levelled_by == key


def test_a_key_of_ours_is_none_of_theirs(of):
    with raises(ConfigError, "standardize"):
        of("model: {standardize: true}")


def test_one_target_is_the_only_stem(of):
    assert of(
        "model: {sources: [vocals]}\ntraining: {instruments: [vocals, other], target_instrument: vocals}"
    ).instruments == ("vocals",)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f"{MSST}", None),
        (MSST.replace("training:", "training:\n  model_type: scnet_masked"), "scnet_masked"),
        (MSST.replace("training:", "training:\n  model_type: bs_roformer"), "bs_roformer"),
        (MSST.replace("  nfft: 4096", "  nfft: 4096\n  tran_depth: 1"), "scnet_tran"),
        ("model: {dims: [4, 32], bandsplit_ratios: [1], n_rnn_layers: 6}", "scnet_unofficial"),
        ("model: {dim: 384, depth: 12, heads: 8}", "depth"),
        (MSST.replace("win_size: 4096", "win_size: 2048"), "2048"),
        (MSST.replace("485100", "many"), "many"),
        (MSST.replace("485100", "-1"), "-1"),
        (MSST.replace("485100", "9999999999"), "9999999999"),
        ("training: {instruments: [a]}", "model"),
        ("- a", "model"),
        ("model: {sources: 3}", "instruments"),
        ("a: &a [1]\nmodel: {dims: *a}", "alias"),
        ("model: !!python/object/apply:os.system [echo]", "python/object"),
        ("model: !!python/name:os.system", "python/name"),
        ("model: {dims: [1, 2", "YAML"),
        ("model: {hop_size: 2026-01-01}", "YAML"),
        ("model: {dims: .nan}", "YAML"),
        ("model: " + "[" * 5000, "YAML"),
        ("model: {dims: " + "[" * 40 + "]" * 40 + "}", "deep"),
        ("model: {nfft: " + "9" * 5000 + "}", "YAML"),
        ("model: \x00", "YAML"),
        ("a: " + "b" * 200_000, "kB"),
    ],
)
def test_what_is_not_built_or_no_config_is_named_in_one_line(of, tmp_path, text, named):
    if named is None:
        of(text)
        return
    with raises(ConfigError, named, path=tmp_path / "model.yaml") as refused:
        of(text)
    assert "\n" not in str(refused.value)


def test_msst_gets_the_same_config_back(tmp_path):
    keys = scnet_keys({"dims": [4, 8, 12], "expand": 2}, instruments=["a", "b: c"], frames=300)
    config = parse_config(json.dumps(keys), "a.json")
    path = tmp_path / "model.yaml"
    path.write_text(msst_yaml(config))
    assert parse_config(json.dumps(read_model_yaml(path).keys), "a.json") == config
    assert yaml.safe_load(path.read_text())["training"]["instruments"] == ["a", "b: c"]


@pytest.mark.parametrize(
    ("change", "own"),
    [
        (lambda text: text, True),
        (lambda text: text.replace("batch_size: 1", "batch_size: 4"), True),
        (lambda text: text.partition("\n")[2], False),
        (lambda text: f"# mine\n{text}", False),
        (lambda text: text.replace('"scnet"', '"mdx23c"'), False),
        (lambda text: text + "}", False),
        (lambda text: "", False),
    ],
)
def test_a_yaml_of_this_command_is_told_from_others(change, own, tmp_path):
    config = parse_config(json.dumps(scnet_keys({}, instruments=["a"])), "a.json")
    (tmp_path / "a.yaml").write_text(change(msst_yaml(config)))
    assert is_own_yaml(tmp_path / "a.yaml") == own
    (tmp_path / "b.yaml").symlink_to(tmp_path / "a.yaml")
    assert not is_own_yaml(tmp_path / "b.yaml")
