"""Checkpoints in Spleeter's format (TensorFlow 1), read into a network and written from one."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sepcore.networks.checkpoint_files import model_names
from sepcore.networks.instrument import InstrumentNetwork
from sepcore.networks.stored_layers import Array, SelfNamedNetwork, StoredVariable
from sepcore.networks.stored_tensors import layer_name, layer_places, load_tensors, stored_shapes, write_tensors
from sepcore.system.atomic import atomic_folder

# CuDNN keeps each gate's matrices transposed, and two bias vectors that it adds. Gates: input, forget, cell, output.
_GATES = 4


def _kernel_to_keras(kernel: Array) -> Array:
    gates = np.split(kernel, _GATES, axis=1)
    return np.concatenate([gate.reshape(gate.shape[::-1]).T for gate in gates], axis=1)


def _kernel_to_cudnn(kernel: Array) -> tuple[Array, ...]:
    gates = np.split(kernel, _GATES, axis=1)
    return (np.concatenate([gate.T.reshape(gate.shape) for gate in gates], axis=1),)


def _bias_to_keras(bias: Array) -> Array:
    added: Array = bias.reshape(2, -1).sum(axis=0)
    return added


def _bias_to_cudnn(bias: Array) -> tuple[Array, ...]:
    return (np.tile(bias / 2, 2),)


def _layer_variables(kind: str, index: int, layer: Any) -> Iterator[StoredVariable]:
    places = layer_places(kind, index)
    if kind == "bidirectional":
        for place, cell in zip(places, (layer.forward_layer.cell, layer.backward_layer.cell), strict=True):
            for leaf in ("kernel", "recurrent_kernel"):
                yield StoredVariable((f"{place}/{leaf}",), getattr(cell, leaf), _kernel_to_keras, _kernel_to_cudnn)
            both = (2 * cell.bias.shape[0],)
            yield StoredVariable((f"{place}/bias",), cell.bias, _bias_to_keras, _bias_to_cudnn, both)
        return
    norm = ("gamma", "beta", "moving_mean", "moving_variance")
    for leaf in norm if kind == "batch_normalization" else ("kernel", "bias"):
        yield StoredVariable((f"{places[0]}/{leaf}",), getattr(layer, leaf))


def _stored_variables(network: Any) -> list[StoredVariable]:
    """Every weight of a network with its names in a checkpoint; those of registered networks are variables' paths.

    ValueError if two weights would have one name, or a weight none: it would be lost.
    """
    variables = list(_named_variables(network))
    twice = [name for name, count in Counter(name for one in variables for name in one.names).items() if count > 1]
    if twice:
        raise ValueError(
            f"two weights of the network are called {twice[0]!r}; give their layers names of their own, or make the "
            "weights in the layers' build()."
        )
    unnamed = {id(weight): weight for weight in network.weights}
    for one in variables:
        unnamed.pop(id(one.variable), None)
    if unnamed:
        path = next(iter(unnamed.values())).path
        raise ValueError(f"{path} has no name in a checkpoint; a network that names its weights names all of them.")
    return variables


def _named_variables(network: Any) -> Iterator[StoredVariable]:
    self_named = [layer for layer in network.layers if isinstance(layer, SelfNamedNetwork)]
    nets = [layer for layer in network.layers if isinstance(layer, InstrumentNetwork)]
    if not self_named and not nets:
        names = _counted_anew([variable.path for variable in network.weights])
        yield from (StoredVariable((name,), variable) for name, variable in zip(names, network.weights, strict=True))
    for layer in self_named:
        yield from layer.stored_variables()
    seen: Counter[str] = Counter()
    for net in nets:
        for kind, layer in net.spleeter_layers():
            yield from _layer_variables(kind, seen[kind], layer)
            seen[kind] += 1


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
    stored = _stored_variables(network)
    values, step = load_tensors({name: shape for one in stored for name, shape in one.shapes.items()}, folder)
    for one in stored:
        one.variable.assign(one.to_keras(*(values[name] for name in one.names)))
    return step


def read_fitting_tensors(network: Any, folder: Path) -> tuple[list[str], list[str]]:
    """Give a network those weights of a checkpoint whose name and shape it has itself; the others stay.

    Args:
        network: As `registry.build_network` makes it.
        folder: As of `read_checkpoint`.

    Returns:
        The names of the tensors that were taken over, and of the network's that were not.

    Raises:
        CheckpointError: there is no checkpoint, it is damaged, or values are not finite; the network is unchanged then.
    """
    variables, stored = _stored_variables(network), stored_shapes(folder)
    fitting = [one for one in variables if all(stored.get(name) == shape for name, shape in one.shapes.items())]
    wanted = {name: shape for one in fitting for name, shape in one.shapes.items()}
    values, _ = load_tensors(wanted, folder, others=True)
    for one in fitting:
        one.variable.assign(one.to_keras(*(values[name] for name in one.names)))
    return list(values), [name for one in variables for name in one.names if name not in values]


def write_checkpoint(network: Any, folder: Path, *, step: int) -> None:
    """Write a network's weights as a checkpoint that Spleeter loads, whole or not at all.

    Args:
        network: As `registry.build_network` makes it.
        folder: Replaced; holds ``checkpoint``, ``model.index``, ``model.data-00000-of-00001`` and ``.probe``.
        step: Training step, stored as ``global_step``.

    Raises:
        OSError: it cannot be written; ``folder`` is as it was.
    """
    values: dict[str, Array] = {}
    for one in _stored_variables(network):
        values |= zip(one.names, one.to_stored(np.asarray(one.variable, np.float32)), strict=True)
    with atomic_folder(folder, model_names) as temporary:
        write_tensors(temporary, values, step=step)
