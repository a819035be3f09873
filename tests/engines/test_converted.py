import hashlib
import os
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sepcore import Separator, load_config
from sepcore.engines.converted import (
    ConversionFailed,
    checksum_file,
    convert_network_once,
    converted_network,
    network_places,
    weights_sha256,
)
from tests.models import TINY, convert_here, write_model

pytestmark = pytest.mark.slow


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "model")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "stemworks" / "private-networks"


def networks(folder):
    return sorted(folder.glob("network-*.onnx"))


def test_a_process_that_separates_with_a_built_in_network_imports_no_tensorflow_and_writes_nothing(model, cache):
    code = (
        "import sys, numpy; from sepcore import Separator; s = Separator(sys.argv[1]);"
        "s.separate(numpy.zeros((9000, 2), 'f4'));"
        "heavy = 'tensorflow', 'keras', 'onnx', 'prefect', 'mlflow', 'openvino_telemetry';"
        "print(type(s.engine).__name__, [name for name in heavy if name in sys.modules])"
    )
    before = sorted(path.name for path in (model / "model").iterdir())
    ran = subprocess.run([sys.executable, "-c", code, str(model)], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("OpenVinoEngine []\n", "")
    assert not cache.exists()
    assert sorted(path.name for path in (model / "model").iterdir()) == before


def test_a_network_is_converted_once_in_a_process_of_its_own(model, cache):
    config = load_config(model)
    file = convert_network_once(config, model / "model")
    assert convert_network_once(config, model / "model") == converted_network(config, model / "model") == file
    assert sorted(path.name for path in cache.iterdir()) == [file.name, file.with_suffix(".sha256").name]
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_many_who_ask_at_once_convert_once(model, cache):
    config = load_config(model)
    with ThreadPoolExecutor(4) as pool:
        files = set(pool.map(lambda _: convert_network_once(config, model / "model"), range(4)))
    assert files == set(networks(cache))


def test_a_conversion_removes_what_nobody_has_used_for_a_month_and_imports_nothing_from_the_working_folder(
    model, cache, tmp_path, monkeypatch
):
    cache.mkdir(parents=True, mode=0o700)
    for name, age_s in (("network-3-0", 31 * 86_400), ("network-4-0", 31 * 86_400), ("network-4-1", 29 * 86_400)):
        for file in (cache / f"{name}.onnx", cache / f"{name}.sha256"):
            file.touch()
            os.utime(file, (time.time() - age_s,) * 2)
    # Modules of the names that the child imports first, as they might lie among somebody's songs.
    songs = tmp_path / "songs"
    songs.mkdir()
    for name in ("sepcore", "numpy", "json", "tensorflow", "sitecustomize"):
        (songs / f"{name}.py").write_text(f"open({str(tmp_path / 'stolen')!r}, 'w').close()")
    monkeypatch.chdir(songs)
    monkeypatch.syspath_prepend(str(songs))  # as python -m and an empty PYTHONPATH entry have it
    file = convert_network_once(load_config(model), model / "model")
    assert not (tmp_path / "stolen").exists()
    assert networks(cache) == sorted([file, cache / "network-4-1.onnx"])


def test_what_cannot_be_converted_says_why_and_leaves_nothing(tmp_path, cache):
    # Registered by these tests alone: a process of its own does not know the network.
    folder = write_model(tmp_path / "tiny", model=TINY)
    with pytest.raises(ConversionFailed, match=r"tests\.tiny"):
        convert_network_once(load_config(folder), folder / "model")
    assert not list(cache.iterdir())


def test_other_weights_another_network_or_another_shape_need_a_file_of_their_own(model, tmp_path):
    first = network_places(load_config(model), model / "model")[0]
    assert network_places(load_config(model), model / "model")[0] == first
    others = [
        write_model(tmp_path / "weights", seed=1),
        write_model(tmp_path / "shape", F=128),
        write_model(tmp_path / "names", instrument_list=["a", "b"]),
        write_model(tmp_path / "network", model={"type": "unet.unet", "params": {"conv_activation": "ELU"}}),
    ]
    names = {network_places(load_config(other), other / "model")[0].name for other in others}
    assert len({first.name, *names}) == 1 + len(others)


def test_masks_and_training_need_none(model, tmp_path):
    first = network_places(load_config(model), model / "model")[0].name
    content = load_config(model).to_json().replace('"separation_exponent": 2', '"separation_exponent": 1')
    (model / "config.json").write_text(content)
    assert load_config(model).separation_exponent == 1
    assert network_places(load_config(model), model / "model")[0].name == first


def test_new_weights_are_seen_by_the_process_that_has_read_the_old(model):
    before = weights_sha256(model / "model")
    write_model(model, seed=5)
    assert weights_sha256(model / "model") != before


def write_network_file(file, content=b"a network"):
    file.write_bytes(content)
    checksum_file(file).write_text(hashlib.sha256(content).hexdigest())


def test_a_network_that_came_with_the_weights_is_never_taken(model, cache):
    located = load_config(model), model / "model"
    places = network_places(*located)
    assert not [place for place in places if place.is_relative_to(model)]
    for name in {places[0].name, f".{places[0].name}", places[0].name.replace("network-4-", ".network-3-")}:
        write_network_file(model / "model" / name)
    assert converted_network(*located) is None
    cache.mkdir(parents=True, mode=0o700)
    write_network_file(cache / places[0].name)
    assert converted_network(*located) == cache / places[0].name


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o1777])
def test_a_cache_that_others_can_write_to_is_not_used(model, cache, tmp_path, monkeypatch, mode):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cache.mkdir(parents=True)
    file = convert_here(model)
    assert converted_network(load_config(model), model / "model") == file
    cache.chmod(mode)
    assert converted_network(load_config(model), model / "model") is None
    cache.chmod(0o700)
    cache.rename(tmp_path / "moved")
    cache.symlink_to(tmp_path / "moved")
    assert converted_network(load_config(model), model / "model") is None


def test_without_a_home_networks_are_kept_among_the_users_temporary_files(model, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    home, temporary = (place.parent for place in network_places(load_config(model), model / "model"))
    assert home == tmp_path / "home" / ".cache" / "stemworks" / "private-networks"
    assert temporary == tmp_path / f"stemworks-{os.getuid()}"


def test_a_folder_marked_read_only_separates(model):
    (model / "model").chmod(0o555)
    try:
        assert Separator(model, engine="openvino").separate(np.zeros((100, 2), np.float32))["vocals"].shape == (100, 2)
    finally:
        (model / "model").chmod(0o755)
