"""Run by the Python that has PyTorch and MSST: the SCNet of others, made, stored and loaded as they do it."""

import importlib
import json
import sys
import types
from pathlib import Path

import torch


def scnet(keys):
    """MSST's SCNet with some keys of its YAML's `model`, without what else its package imports."""
    folder = Path(torch.__file__).parents[1] / "msst" / "models" / "scnet"
    package = types.ModuleType("scnet")
    package.__path__ = [str(folder)]
    sys.modules["scnet"] = package
    return importlib.import_module("scnet.scnet").SCNet(**keys)


def list_shapes(keys):
    """Print the names and shapes of the tensors of every network, as JSON."""
    listed = [[[name, value.shape] for name, value in scnet(one).state_dict().items()] for one in json.loads(keys)]
    json.dump(listed, sys.stdout)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
