import json

import numpy as np
import pytest

from sepcore.config.load import load_config
from sepcore.config.network import SCNetParams
from sepcore.errors import CheckpointError, ConfigError, ProviderError
from sepcore.networks import stored_tensors
from sepcore.networks.scnet_tensors import scnet_shapes
from sepcore.networks.stored_tensors import load_tensors, tensor_shapes
from sepcore.provider.checksum import file_sha256
from sepcore.provider.convert import states
from sepcore.provider.convert.convert import convert_checkpoint, write_torch
from sepcore.provider.convert.torch_file import TorchFile
from sepcore.provider.convert.torch_writer import write_state_dict
from sepcore.provider.installed import InstalledModel
from sepcore.provider.resolve import locate_model
from tests.models import write_model
from tests.provider.convert.checkpoints import ordered, stored, tensor, whole, write
from tests.raised import raises

PARAMS = SCNetParams(dims=(4, 8, 12), num_dual_path_layers=2, conv_depths=(1, 1, 1))
YAML = """
audio: {chunk_size: 20000}
model:
  {sources: [a, b], dims: [4, 8, 12], num_dplayer: 2, conv_depths: [1, 1, 1], nfft: 512, hop_size: 128, win_size: 512}
"""


def weights(params=PARAMS, num_stems=2, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape, np.float32) for name, shape in scnet_shapes(params, num_stems).items()}


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("MODEL_PATH", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def checkpoint(tmp_path):
    write_state_dict(tmp_path / "best.ckpt", weights())
    return tmp_path / "best.ckpt"


@pytest.fixture
def yaml(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(YAML)
    return path


def test_a_checkpoint_becomes_a_model_that_its_name_leads_to(models, checkpoint, yaml):
    made = convert_checkpoint(checkpoint, "mine", yaml=yaml)
    located = locate_model("mine")
    assert (located.folder, located.config) == (models / "mine", made.config)
    assert located.config.instruments == ("a", "b")
    values, step = load_tensors(tensor_shapes(located.config), located.folder)
    assert step == 0
    for name, expected in weights().items():
        np.testing.assert_array_equal(values[name], expected, strict=True)
    assert InstalledModel.of(models / "mine").check().startswith("7 files as they came from")


def test_the_card_names_origin_checksum_and_license_or_that_it_is_unknown(models, checkpoint, yaml):
    for license_name, told in ((None, "Unknown"), ("CC BY-NC 4.0", "CC BY-NC 4.0")):
        convert_checkpoint(checkpoint, "mine", yaml=yaml, license_name=license_name, force=True)
        card = (models / "mine" / "model_card.md").read_text("utf-8")
        assert all(fact in card for fact in ("best.ckpt", file_sha256(checkpoint), told, "a, b"))
        noted = json.loads((models / "mine" / "conversion.json").read_text("utf-8"))
        assert (noted["file"], noted["sha256"], noted["license"]) == (
            "best.ckpt",
            file_sha256(checkpoint),
            license_name,
        )


def test_without_a_yaml_sizes_come_from_the_tensors_and_the_rest_is_the_authors(models, checkpoint):
    made = convert_checkpoint(checkpoint, "mine", instruments=("vocals", "other"))
    assert made.config.model.params == PARAMS
    assert (made.config.segment_frames, made.config.num_bins, made.config.hop_length) == (476, 2049, 1024)
    with raises(ConfigError, 2, path=checkpoint, hint="--instruments"):
        convert_checkpoint(checkpoint, "other")


@pytest.mark.parametrize("key", ["best_state", "state", "model_state_dict", "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.model."])
def test_the_state_is_found_where_training_programs_put_it(tmp_path, key, prefix):
    items = {f"{prefix}{name}": tensor("0", "FloatStorage", 0, (2,), (1,)) for name in ("one.weight", "two.weight")}
    content = ordered({"epoch": b"K\x03", key: ordered(items), "optimizer": ordered({"state": b"}"})})
    path = write(tmp_path / "a.pt", whole(content), [np.ones(2, np.float32)])
    with TorchFile(path) as file:
        found, tensors = states.find_state(file.content, path)
    assert (found, list(tensors)) == (key, ["one.weight", "two.weight"])


def authors(path, arrays=None):
    """A checkpoint as SCNet's author's program writes it."""
    arrays = arrays or weights()
    items = {
        name: tensor(str(key), "FloatStorage", 0, value.shape, [step // 4 for step in value.strides])
        for key, (name, value) in enumerate(arrays.items())
    }
    return write(path, whole(ordered({"best_state": ordered(items)})), list(arrays.values()))


@pytest.mark.parametrize("given", [None, True, False])
@pytest.mark.parametrize("is_authors", [True, False])
def test_spectra_are_standardized_for_the_authors_checkpoints_or_as_told(
    models, tmp_path, checkpoint, yaml, is_authors, given
):
    path = authors(tmp_path / "author.th") if is_authors else checkpoint
    made = convert_checkpoint(path, "mine", yaml=yaml, standardize=given)
    taken = is_authors if given is None else given
    assert load_config(models / "mine").model.params.standardize == taken
    (note,) = made.notes
    assert f"standardize: {json.dumps(taken)}" in note
    assert (given is None) == ("--set" in note)
    assert note in (models / "mine" / "model_card.md").read_text("utf-8")


def test_what_shapes_cannot_tell_is_told_to_be_guessed(models, checkpoint, yaml):
    guessed, _ = convert_checkpoint(checkpoint, "mine", instruments=("a", "b")).notes
    assert all(fact in guessed for fact in ("guessed", "band_SR", "band_stride", "--config"))
    assert "order" not in guessed
    assert guessed in (models / "mine" / "model_card.md").read_text("utf-8")
    write_state_dict(checkpoint.with_name("four"), weights(num_stems=4))
    assert "order" in convert_checkpoint(checkpoint.with_name("four"), "four").notes[0]
    assert not any("guessed" in note for note in convert_checkpoint(checkpoint, "told", yaml=yaml).notes)


def test_levelling_of_songs_that_is_not_done_here_is_told(models, checkpoint, yaml):
    yaml.write_text(YAML + "inference: {normalize: true}\n")
    note = convert_checkpoint(checkpoint, "mine", yaml=yaml).notes[-1]
    assert "inference.normalize" in note
    assert note in (models / "mine" / "model_card.md").read_text("utf-8")


def test_the_same_model_is_kept_as_it_is(models, checkpoint, yaml):
    def stamps():
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (models / "mine").iterdir()}

    first = convert_checkpoint(checkpoint, "mine", yaml=yaml, license_name="MIT")
    before = stamps()
    again = convert_checkpoint(checkpoint, "mine", yaml=yaml, license_name="MIT")
    assert (first.is_new, again.is_new, again.config) == (True, False, first.config)
    assert stamps() == before


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"instruments": ("b", "a")}, "instrument_list"),
        ({"license_name": "GPL"}, "license"),
        ({"standardize": True}, "model.params.standardize"),
    ],
)
def test_the_same_weights_as_another_model_need_force(models, checkpoint, yaml, other, named):
    convert_checkpoint(checkpoint, "mine", yaml=yaml)
    with raises(ProviderError, named, path=models / "mine", hint="--force"):
        convert_checkpoint(checkpoint, "mine", yaml=yaml, **other)
    made = convert_checkpoint(checkpoint, "mine", yaml=yaml, force=True, **other)
    assert load_config(models / "mine") == made.config


@pytest.mark.parametrize("file", ["config.json", "conversion.json", "model_card.md", "model.index"])
def test_a_file_that_was_changed_since_is_replaced_only_by_force(models, checkpoint, yaml, file):
    convert_checkpoint(checkpoint, "mine", yaml=yaml)
    whole_file = (models / "mine" / file).read_bytes()
    for change in (lambda: (models / "mine" / file).write_bytes(whole_file + b" "), (models / "mine" / file).unlink):
        change()
        if file == "model.index" and not (models / "mine" / file).exists():
            break  # no checkpoint any more, which is no model
        with raises(ProviderError, file, path=models / "mine", hint="--force"):
            convert_checkpoint(checkpoint, "mine", yaml=yaml)
    convert_checkpoint(checkpoint, "mine", yaml=yaml, force=True)
    assert (models / "mine" / file).read_bytes() == whole_file


def test_half_and_double_precision_become_float32(models, tmp_path, yaml):
    for dtype in (np.float16, np.float64):
        arrays = {name: value.astype(dtype) for name, value in weights().items()}
        stored(tmp_path / "a.ckpt", arrays)
        made = convert_checkpoint(tmp_path / "a.ckpt", f"of-{np.dtype(dtype)}", yaml=yaml)
        values, _ = load_tensors(tensor_shapes(made.config), made.folder)
        for name, expected in arrays.items():
            np.testing.assert_array_equal(values[name], expected.astype(np.float32), strict=True)


def changed(**arrays):
    return {**weights(), **{name.replace("__", "."): value for name, value in arrays.items()}}


BAD = {
    "another size": (
        weights(SCNetParams(dims=(4, 16, 24)), 3),
        "encoder.0.SDlayer.convs.0.weight",
        '"dims": [4, 16, 24]',
    ),
    "more stems": (weights(num_stems=3), "decoder.1.1.convtrs.0.weight", "3 instruments"),
    "another network": ({"layers.0.weight": np.ones((2, 2), np.float32)}, "encoder.0", "another network"),
    "one left over": (changed(extra__weight=np.ones(2, np.float32)), "extra.weight", "another network"),
    "masked": (changed(mask_layer__0__weight=np.ones(2, np.float32)), "mask_layer.0.weight", "scnet_masked"),
    "whole numbers": (
        changed(separation_net__dp_modules__0__norm_layers__0__bias=np.ones(12, np.int64)),
        "norm_layers.0.bias",
        "",
    ),
    "infinite": (
        changed(separation_net__dp_modules__0__norm_layers__0__bias=np.full(12, np.inf, np.float32)),
        "norm_layers.0.bias",
        "",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_tensors_that_do_not_fit_are_named_with_the_params_that_would(models, tmp_path, yaml, name):
    arrays, problem, hint = BAD[name]
    path = stored(tmp_path / "a.ckpt", arrays)
    with raises(CheckpointError, problem, path=path, hint=hint) as refused:
        convert_checkpoint(path, "mine", yaml=yaml)
    assert "\n" not in str(refused.value)
    assert not models.exists()


def test_a_checkpoint_without_a_state_dict_is_refused(models, tmp_path):
    for number, content in enumerate((b"]", ordered({"epoch": b"K\x03"}), ordered({"state": b"]"}))):
        path = write(tmp_path / f"{number}.ckpt", whole(content))
        with raises(CheckpointError, "state_dict", path=path):
            convert_checkpoint(path, "mine")


def test_another_model_is_replaced_only_by_force_and_a_strangers_folder_never(models, checkpoint, yaml, tmp_path):
    convert_checkpoint(checkpoint, "mine", yaml=yaml)
    write_state_dict(tmp_path / "other.ckpt", weights(seed=1))
    before = {path.name: path.read_bytes() for path in (models / "mine").iterdir()}
    with raises(ProviderError, path=models / "mine", hint="--force"):
        convert_checkpoint(tmp_path / "other.ckpt", "mine", yaml=yaml)
    assert {path.name: path.read_bytes() for path in (models / "mine").iterdir()} == before
    convert_checkpoint(tmp_path / "other.ckpt", "mine", yaml=yaml, force=True)
    (models / "thesis").mkdir()
    (models / "thesis" / "notes.txt").write_text("mine")
    with raises(ProviderError, "notes.txt", path=models / "thesis"):
        convert_checkpoint(checkpoint, "thesis", yaml=yaml, force=True)
    assert sorted(path.name for path in models.iterdir()) == ["mine", "thesis"]


def test_a_model_that_was_changed_since_is_told_how_to_get_it_again(models, checkpoint, yaml):
    convert_checkpoint(checkpoint, "mine", yaml=yaml)
    (models / "mine" / "config.json").write_text((models / "mine" / "config.json").read_text() + " ")
    with raises(ProviderError, "config.json", hint=f"convert {checkpoint} --name mine"):
        InstalledModel.of(models / "mine").check()


def test_whatever_chunk_a_yaml_has_the_model_loads_again_and_can_be_trained(models, checkpoint, yaml):
    drawn = np.random.default_rng(0).integers(2**8, 2**22, 25)
    for samples in (1024, 872_000, 876_000, 877_500, 881_000, 882_000, 2_000_000, *drawn):
        text = f"audio: {{chunk_size: {samples}}}\nmodel: {{sources: [a, b], dims: [4, 8, 12], num_dplayer: 2,"
        yaml.write_text(f"{text} conv_depths: [1, 1, 1], hop_size: {1024 if samples >= 1024 else 128}, nfft: 4096}}\n")
        if samples < 1024:
            yaml.write_text(yaml.read_text().replace("4096", "512"))
        made = convert_checkpoint(checkpoint, "mine", yaml=yaml, force=True)
        loaded = load_config(models / "mine")
        assert loaded == made.config, samples
        loaded.check_trainable()


def test_a_model_goes_to_pytorch_and_back(models, checkpoint, yaml, tmp_path):
    convert_checkpoint(checkpoint, "mine", yaml=yaml)
    beside = write_torch(locate_model("mine"), tmp_path / "out" / "back.ckpt")
    again = convert_checkpoint(tmp_path / "out" / "back.ckpt", "again", yaml=beside)
    assert again.config.deciding_keys() == load_config(models / "mine").deciding_keys()
    for file in ("model.index", "model.data-00000-of-00001"):
        assert (models / "again" / file).read_bytes() == (models / "mine" / file).read_bytes()
    with raises(ConfigError, path=tmp_path / "out" / "back.ckpt", hint="--force"):
        write_torch(locate_model("mine"), tmp_path / "out" / "back.ckpt")
    write_torch(locate_model("mine"), tmp_path / "out" / "back.ckpt", force=True)


def test_a_checkpoint_is_never_written_where_its_yaml_goes(models, checkpoint, yaml, tmp_path):
    convert_checkpoint(checkpoint, "mine", yaml=yaml)
    for name in ("back.yaml", "back.YAML"):
        with raises(ConfigError, path=tmp_path / name, hint="back.ckpt"):
            write_torch(locate_model("mine"), tmp_path / name, force=True)
    assert not list(tmp_path.glob("back.*"))


def test_a_yaml_of_others_beside_the_checkpoint_is_never_replaced(models, checkpoint, yaml, tmp_path):
    convert_checkpoint(checkpoint, "mine", yaml=yaml)
    with raises(ConfigError, path=yaml, hint="another file"):
        write_torch(locate_model("mine"), yaml.with_suffix(".ckpt"), force=True)
    assert yaml.read_text() == YAML
    assert not yaml.with_suffix(".ckpt").exists()


def test_what_pytorchs_programs_do_not_have_is_not_written_for_them(models, checkpoint, yaml, tmp_path):
    convert_checkpoint(checkpoint, "mine", yaml=yaml)
    file = models / "mine" / "config.json"
    content = json.loads(file.read_text())
    for key, value in (("stft_window", "hann"), ("F", 200), ("stft_padding", "spleeter")):
        file.write_text(json.dumps(content | {key: value}))
        with raises(ConfigError, key, value):
            write_torch(locate_model("mine"), tmp_path / "back.ckpt")
    file.write_text(json.dumps(content | {"model": {"type": "scnet.scnet", "params": {"standardize": True}}}))
    with raises(ConfigError, "model.params.standardize", "true"):
        write_torch(locate_model("mine"), tmp_path / "back.ckpt")
    with raises(ConfigError, "unet.unet"):
        write_torch(locate_model(write_model(tmp_path / "unet")), tmp_path / "back.ckpt")
    assert not list(tmp_path.glob("back.*"))


def test_what_the_memory_does_not_hold_is_refused_before_it_is_read(models, checkpoint, yaml, monkeypatch):
    made = convert_checkpoint(checkpoint, "mine", yaml=yaml)
    for module in (states, stored_tensors):
        monkeypatch.setattr(module, "free_bytes", lambda: 1000)
    with raises(CheckpointError, "GB", path=checkpoint):
        convert_checkpoint(checkpoint, "other", yaml=yaml)
    with raises(CheckpointError, "GB"):
        load_tensors(tensor_shapes(made.config), made.folder)
