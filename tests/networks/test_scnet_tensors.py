import json
import math
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tests.peers
from sepcore.config.network import SCNetParams
from sepcore.networks.scnet_tensors import fitting_params, scnet_shapes

SCRIPT = Path(tests.peers.__file__).with_name("torch_scnet.py")
SIZES = [
    {},
    {"dims": [4, 64, 128, 256]},
    {"dims": [2, 8, 12], "band_kernel": [3, 4, 5], "band_stride": [1, 2, 5], "conv_depths": [1, 1, 2]},
    {"compress": 3, "conv_kernel": 5, "num_dplayer": 2, "expand": 2},
]
WIDTHS = st.integers(8, 40)
PARAMS = st.builds(
    lambda kernels, **keys: SCNetParams(
        band_kernels=kernels, band_strides=tuple(min(pair) for pair in zip(kernels, (1, 4, 16), strict=True)), **keys
    ),
    kernels=st.tuples(*[st.integers(1, 20)] * 3),
    dims=st.lists(WIDTHS, min_size=1, max_size=4).map(lambda widths: (4, *widths)),
    conv_depths=st.tuples(*[st.integers(1, 3)] * 3),
    compress=st.integers(1, 8),
    conv_kernel=st.sampled_from([1, 3, 5]),
    num_dual_path_layers=st.sampled_from([2, 4]),
    expand=st.integers(1, 3),
)


def test_the_authors_network_has_as_many_weights_as_in_pytorch():
    assert sum(map(math.prod, scnet_shapes(SCNetParams(), 4).values())) == 10_578_768


@settings(max_examples=60, deadline=None)
@given(params=PARAMS, num_stems=st.integers(1, 6))
def test_shapes_tell_the_parameters_that_they_come_of(params, num_stems):
    shapes = scnet_shapes(params, num_stems)
    found = fitting_params(shapes)
    assert found is not None
    assert scnet_shapes(*found) == shapes
    assert found[1] == num_stems


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_shapes_tell_parameters_or_none(data):
    names = [*scnet_shapes(SCNetParams(), 4), "other.weight"]
    sides = st.lists(st.sampled_from([0, 1, 3, 4, 64, 10**9]), max_size=5).map(tuple)
    shapes = {name: data.draw(sides) for name in names if name.endswith("weight")}
    fitting_params(shapes)
    fitting_params({**scnet_shapes(SCNetParams(), 4), data.draw(st.sampled_from(names)): data.draw(sides)})


def test_another_network_has_no_parameters():
    assert fitting_params({}) is None
    assert fitting_params({"layers.0.weight": (4, 4), "encoder.0.weight": (3,)}) is None


@pytest.mark.peers_torch
def test_names_order_and_shapes_are_those_of_the_network_in_pytorch(torch_python):
    keys = [{**size, "sources": list("abcde")[:number]} for size in SIZES for number in (1, 4)]
    arguments = [str(torch_python), str(SCRIPT), "list_shapes", json.dumps(keys)]
    ran = subprocess.run(arguments, capture_output=True, text=True, check=True)
    for one, listed in zip(keys, json.loads(ran.stdout), strict=True):
        number = len(one.pop("sources"))
        params = SCNetParams.model_validate_json(json.dumps(one))
        assert list(scnet_shapes(params, number).items()) == [(name, tuple(shape)) for name, shape in listed], one
