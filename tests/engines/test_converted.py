import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sepcore import Separator, load_config
from sepcore.engines.converted import (
    ConversionFailed,
    convert_network_once,
    converted_network,
    network_places,
    weights_sha256,
)
from tests.models import TINY, convert_here, write_model


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "model")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "stemworks" / "networks"


def networks(folder):
    return sorted(folder.glob(".network-*.onnx"))


@pytest.mark.slow
def test_a_process_that_separates_on_a_cpu_converts_once_and_never_imports_tensorflow(model):
    code = (
        "import sys, numpy; from sepcore import Separator; s = Separator(sys.argv[1]);"
        "s.separate(numpy.zeros((9000, 2), 'f4'));"
        "heavy = 'tensorflow', 'keras', 'prefect', 'mlflow', 'openvino_telemetry';"
        "print(type(s.engine).__name__, [name for name in heavy if name in sys.modules])"
    )
    for _ in range(2):
        ran = subprocess.run([sys.executable, "-c", code, str(model)], capture_output=True, text=True, check=True)
        assert ran.stdout == "OpenVinoEngine []\n"
        assert ran.stderr == ""
    (file,) = networks(model / "model")
    assert converted_network(load_config(model), model / "model") == file
    assert not [path for path in (model / "model").iterdir() if path.name.startswith((".tmp", f"{file.name}.lock"))]


@pytest.mark.slow
def test_many_who_ask_at_once_convert_once(model):
    config = load_config(model)
    with ThreadPoolExecutor(4) as pool:
        files = set(pool.map(lambda _: convert_network_once(config, model / "model"), range(4)))
    assert files == set(networks(model / "model"))


@pytest.mark.slow
def test_a_conversion_removes_the_files_of_older_versions_and_of_weights_that_are_gone(model):
    folder = model / "model"
    (folder / ".network-0123456789abcdef.onnx").touch()
    gone = network_places(load_config(model), folder)[0]
    gone.touch()
    os.utime(gone, (0, 0))
    write_model(model, seed=1)
    other_shape = gone.with_stem(f"{gone.stem[:-4]}0000")
    other_shape.touch()
    file = convert_network_once(load_config(model), folder)
    assert networks(folder) == sorted([file, other_shape])


@pytest.mark.slow
def test_what_cannot_be_converted_says_why_and_leaves_nothing(tmp_path, cache):
    # Registered by these tests alone: a process of its own does not know the network.
    folder = write_model(tmp_path / "tiny", model=TINY)
    with pytest.raises(ConversionFailed, match=r"tests\.tiny"):
        convert_network_once(load_config(folder), folder / "model")
    assert not networks(folder / "model")
    assert not cache.exists() or not list(cache.iterdir())


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


def test_a_folder_marked_read_only_stays_as_it_is_for_root_too(model, cache):
    (model / "model").chmod(0o555)
    try:
        file = convert_here(model)
        assert file.parent == cache
        assert converted_network(load_config(model), model / "model") == file
        assert Separator(model, engine="openvino").separate(np.zeros((100, 2), np.float32))["vocals"].shape == (100, 2)
    finally:
        (model / "model").chmod(0o755)
    assert not networks(model / "model")
