"""Spleeter's checkpoints (TensorFlow 1 format), read into a network and written from one."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.networks.checkpoint_files import model_names
from sepcore.networks.instrument import InstrumentNetwork
from sepcore.networks.stored_tensors import layer_name, layer_places, load_tensors, write_tensors
from sepcore.system.atomic import atomic_folder

Array = NDArray[np.float32]


@dataclass(frozen=True)
class _Tensor:
    """One tensor of a checkpoint and the variable that it belongs to."""

    name: str
    variable: Any
    to_keras: Callable[[Array], Array] = np.asarray
    to_spleeter: Callable[[Array], Array] = np.asarray
    stored_shape: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stored_shape or tuple(self.variable.shape)


# CuDNN keeps each gate's matrices transposed, and two bias vectors that it adds. Gates: input, forget, cell, output.
_GATES = 4


def _kernel_to_keras(kernel: Array) -> Array:
    gates = np.split(kernel, _GATES, axis=1)
    return np.concatenate([gate.reshape(gate.shape[::-1]).T for gate in gates], axis=1)


def _kernel_to_cudnn(kernel: Array) -> Array:
    gates = np.split(kernel, _GATES, axis=1)
    return np.concatenate([gate.T.reshape(gate.shape) for gate in gates], axis=1)


def _bias_to_keras(bias: Array) -> Array:
    added: Array = bias.reshape(2, -1).sum(axis=0)
    return added


def _bias_to_cudnn(bias: Array) -> Array:
    return np.tile(bias / 2, 2)


def _layer_tensors(kind: str, index: int, layer: Any) -> Iterator[_Tensor]:
    places = layer_places(kind, index)
    if kind == "bidirectional":
        for place, cell in zip(places, (layer.forward_layer.cell, layer.backward_layer.cell), strict=True):
            for leaf in ("kernel", "recurrent_kernel"):
                yield _Tensor(f"{place}/{leaf}", getattr(cell, leaf), _kernel_to_keras, _kernel_to_cudnn)
            yield _Tensor(f"{place}/bias", cell.bias, _bias_to_keras, _bias_to_cudnn, (2 * cell.bias.shape[0],))
        return
    norm = ("gamma", "beta", "moving_mean", "moving_variance")
    for leaf in norm if kind == "batch_normalization" else ("kernel", "bias"):
        yield _Tensor(f"{places[0]}/{leaf}", getattr(layer, leaf))


def _network_tensors(network: Any) -> list[_Tensor]:
    """Every tensor of a network with its name in a checkpoint; networks not of Spleeter go by variables' paths."""
    nets = [layer for layer in network.layers if isinstance(layer, InstrumentNetwork)]
    if not nets:
        names = _counted_anew([variable.path for variable in network.weights])
        return [_Tensor(name, variable) for name, variable in zip(names, network.weights, strict=True)]
    seen: Counter[str] = Counter()
    tensors: list[_Tensor] = []
    for net in nets:
        for kind, layer in net.spleeter_layers():
            tensors += _layer_tensors(kind, seen[kind], layer)
            seen[kind] += 1
    return tensors


def _counted_anew(paths: list[str]) -> list[str]:
    """Paths whose layers are counted from the network's first: Keras counts them from the process' first."""
    names: dict[str, str] = {"": ""}
    seen: Counter[str] = Counter()
    counted = []
    for path in paths:
        layers, _, leaf = path.rpartition("/")
        parent = ""
        for part in filter(None, layers.split("/")):
            layer = f"{parent}{part}/"
            if layer not in names:
                kind = names[parent] + re.sub(r"_\d+$", "", part)
                names[layer] = f"{layer_name(kind, seen[kind])}/"
                seen[kind] += 1
            parent = layer
        counted.append(names[parent] + leaf)
    return counted


def read_checkpoint(network: Any, folder: Path) -> int:
    """Give a network the weights of a checkpoint.

    Args:
        network: As `registry.build_network` makes it.
        folder: Holds ``checkpoint``, ``*.index`` and ``*.data-*``, from Spleeter or from `write_checkpoint`.

    Returns:
        The training step at which it was written; 0 if it has none.

    Raises:
        CheckpointError: see `load_tensors`; the network is unchanged then.
    """
    tensors = _network_tensors(network)
    values, step = load_tensors({tensor.name: tensor.shape for tensor in tensors}, folder)
    for tensor in tensors:
        tensor.variable.assign(tensor.to_keras(values[tensor.name]))
    return step


def write_checkpoint(network: Any, folder: Path, *, step: int) -> None:
    """Write a network's weights as a checkpoint that Spleeter loads, whole or not at all.

    Args:
        network: As `registry.build_network` makes it.
        folder: Replaced; holds ``checkpoint``, ``model.index``, ``model.data-00000-of-00001`` and ``.probe``.
        step: Training step, stored as ``global_step``.

    Raises:
        OSError: it cannot be written; ``folder`` is as it was.
    """
    tensors = _network_tensors(network)
    values = {tensor.name: tensor.to_spleeter(np.asarray(tensor.variable, np.float32)) for tensor in tensors}
    with atomic_folder(folder, model_names) as temporary:
        write_tensors(temporary, values, step=step)
