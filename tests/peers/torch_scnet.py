"""Run by the Python that has PyTorch and MSST: the SCNet of others, made, stored and loaded as they do it."""

import importlib
import json
import sys
import types
from pathlib import Path

import numpy
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


def save_all(folder, keys):
    """Store networks and their tensors in many ways: ``NAME.pt``, and the values of its state dict as ``NAME.npz``."""
    torch.manual_seed(0)
    networks = [scnet(one) for one in json.loads(keys)]
    states = {f"size{number}": network.state_dict() for number, network in enumerate(networks)}
    small = states["size0"]
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        states[str(dtype).removeprefix("torch.")] = {name: value.to(dtype) for name, value in small.items()}
    states["parameters"] = {name: torch.nn.Parameter(value) for name, value in small.items()}
    states["views"] = {name: value.T.contiguous().T if value.ndim == 2 else value for name, value in small.items()}
    flat = torch.cat([value.flatten() for value in small.values()])
    parts = flat.split([value.numel() for value in small.values()])
    states["shared"] = {name: part.view(value.shape) for part, (name, value) in zip(parts, small.items(), strict=True)}
    for name, state in states.items():
        torch.save(state, Path(folder, f"{name}.pt"))
        save_values(state, Path(folder, f"{name}.npz"))
    small = {name: value.clone() for name, value in small.items()}
    network = networks[0]
    optimizer = torch.optim.Adam(network.parameters())
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    authors = {
        "state": network.state_dict(),
        "best_nsdr": torch.tensor(9.0),
        "best_state": {f"module.{name}": value for name, value in small.items()},
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "ema_batch_0": {"state": network.state_dict(), "count": 3.5, "decay": 0.9995},
    }
    torch.save(authors, Path(folder, "authors.pt"))
    save_values(small, Path(folder, "authors.npz"))
    torch.save({"model_state_dict": small, "epoch": 1, "best_metric": 3.5}, Path(folder, "msst.pt"))
    save_values(small, Path(folder, "msst.npz"))
    torch.save(small, Path(folder, "legacy.pt"), _use_new_zipfile_serialization=False)
    torch.save(network, Path(folder, "module.pt"))


def save_values(state, path):
    """Write tensors as arrays, in float32 where NumPy lacks their type."""
    arrays = {name: value.detach() for name, value in state.items()}
    numpy.savez(
        path,
        **{name: (value.float() if value.dtype == torch.bfloat16 else value).numpy() for name, value in arrays.items()},
    )


def load(file, keys, out):
    """Load a checkpoint as MSST does, and write its values as the network has them."""
    network = scnet(json.loads(keys))
    network.load_state_dict(torch.load(file, weights_only=True), strict=True)
    save_values(network.state_dict(), out)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
