"""Spleeter's checkpoints (TensorFlow 1 format), read into a network and written from one."""

import errno
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.errors import CheckpointError
from sepcore.networks.checkpoint_files import find_checkpoint, model_names
from sepcore.networks.instrument import InstrumentNetwork
from sepcore.system.atomic import atomic_folder
from sepcore.system.os_errors import named_in
from sepcore.system.printable import first_few

Array = NDArray[np.float32]

_FILE = "model"
_SHOWN = 3
_GET_AGAIN = "Fetch or train the model again."


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
    transposed: Array = np.concatenate([gate.reshape(gate.shape[::-1]).T for gate in gates], axis=1)
    return transposed


def _kernel_to_cudnn(kernel: Array) -> Array:
    gates = np.split(kernel, _GATES, axis=1)
    return np.concatenate([gate.T.reshape(gate.shape) for gate in gates], axis=1)


def _bias_to_keras(bias: Array) -> Array:
    added: Array = bias.reshape(2, -1).sum(axis=0)
    return added


def _bias_to_cudnn(bias: Array) -> Array:
    return np.tile(bias / 2, 2)


def _lstm_tensors(prefix: str, cell: Any) -> Iterator[_Tensor]:
    for name, variable in (("kernel", cell.kernel), ("recurrent_kernel", cell.recurrent_kernel)):
        yield _Tensor(f"{prefix}/{name}", variable, _kernel_to_keras, _kernel_to_cudnn)
    yield _Tensor(f"{prefix}/bias", cell.bias, _bias_to_keras, _bias_to_cudnn, (2 * cell.bias.shape[0],))


def _numbered(kind: str, index: int) -> str:
    return f"{kind}_{index}" if index else kind


def _layer_tensors(kind: str, index: int, layer: Any) -> Iterator[_Tensor]:
    name = _numbered(kind, index)
    if kind == "batch_normalization":
        for leaf in ("gamma", "beta", "moving_mean", "moving_variance"):
            yield _Tensor(f"{name}/{leaf}", getattr(layer, leaf))
    elif kind == "bidirectional":
        for direction, lstm in (("forward", layer.forward_layer), ("backward", layer.backward_layer)):
            yield from _lstm_tensors(f"{name}/{direction}_{_numbered('cu_dnnlstm', index)}", lstm.cell)
    else:
        if kind == "time_distributed":
            # Spleeter wraps three layers of an instrument in TimeDistributed; the first (flatten) and the second
            # (dense) take a number, the third has a name of its own.
            name = _numbered(kind, 2 * index + 1)
        yield _Tensor(f"{name}/kernel", layer.kernel)
        yield _Tensor(f"{name}/bias", layer.bias)


def _network_tensors(network: Any) -> list[_Tensor]:
    """Every tensor of a network under its name in a checkpoint.

    Layers are counted by kind in the order in which Spleeter creates them, instrument after instrument. A registered
    network of another kind goes by its own variables' paths.
    """
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
                names[layer] = f"{_numbered(kind, seen[kind])}/"
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
        The training step at which it was written; 0 if it does not say.

    Raises:
        CheckpointError: if there is no checkpoint, it is damaged, or tensors are missing, of another shape, not finite,
            or left over (a model with more instruments). The network is unchanged then.
    """
    import tensorflow as tf

    prefix = find_checkpoint(folder)
    if prefix is None:
        raise CheckpointError("no complete checkpoint (*.index and *.data-*)", path=folder, hint=_GET_AGAIN)
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        stored = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
        wanted = _renumbered(_network_tensors(network), stored)
        _check_names_and_shapes(wanted, stored, prefix)
        values = [np.asarray(reader.get_tensor(tensor.name)) for tensor in wanted]
        step = int(reader.get_tensor("global_step")) if "global_step" in stored else 0
    # IndexError: what TensorFlow makes of a short file.
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        reason = str(error).splitlines()[0][:200]
        raise CheckpointError(f"damaged checkpoint ({reason})", path=prefix, hint=_GET_AGAIN) from error
    broken = [tensor.name for tensor, value in zip(wanted, values, strict=True) if not np.isfinite(value).all()]
    if broken:
        raise CheckpointError(
            f"NaN or infinity in {first_few(broken, _SHOWN)}", path=prefix, hint="Train the model again."
        )
    for tensor, value in zip(wanted, values, strict=True):
        tensor.variable.assign(tensor.to_keras(value))
    return step


_MODEL_TENSOR = re.compile(
    r"(conv2d|conv2d_transpose|batch_normalization|time_distributed)(_\d+)?/"
    r"(kernel|bias|gamma|beta|moving_mean|moving_variance)|bidirectional(_\d+)?/\w+/(kernel|recurrent_kernel|bias)"
)


def _renumbered(tensors: list[_Tensor], stored: dict[str, tuple[int, ...]]) -> list[_Tensor]:
    """Dense layers of a BLSTM by their order: how many wrappers take a number has changed between Keras versions."""
    ours = sorted({t.name.split("/")[0] for t in tensors if t.name.startswith("time_distributed")}, key=_number)
    theirs = sorted(
        {n.split("/")[0] for n in stored if re.fullmatch(r"time_distributed(_\d+)?/kernel", n)}, key=_number
    )
    if len(ours) != len(theirs):
        return tensors
    new = dict(zip(ours, theirs, strict=True))
    renamed = []
    for tensor in tensors:
        layer, _, leaf = tensor.name.partition("/")
        name = f"{new.get(layer, layer)}/{leaf}" if leaf else tensor.name
        renamed.append(_Tensor(name, tensor.variable, tensor.to_keras, tensor.to_spleeter, tensor.stored_shape))
    return renamed


def _number(layer: str) -> int:
    tail = layer.rpartition("_")[2]
    return int(tail) if tail.isdigit() else 0


def _check_names_and_shapes(wanted: list[_Tensor], stored: dict[str, tuple[int, ...]], prefix: Path) -> None:
    missing = [tensor.name for tensor in wanted if tensor.name not in stored]
    if missing:
        raise CheckpointError(
            f"{len(missing)} of {len(wanted)} tensors are missing ({first_few(missing, _SHOWN)})",
            path=prefix,
            hint="Was it trained with another model.type or instrument_list?",
        )
    differing = [
        f"{tensor.name} is {stored[tensor.name]} instead of {tensor.shape}"
        for tensor in wanted
        if stored[tensor.name] != tensor.shape
    ]
    if differing:
        raise CheckpointError(
            f"{len(differing)} tensors have another shape ({first_few(differing, _SHOWN)})",
            path=prefix,
            hint="Was it trained with other model.params or n_channels?",
        )
    names = {tensor.name for tensor in wanted}
    extra = sorted(name for name in stored if _MODEL_TENSOR.fullmatch(name) and name not in names)
    if extra:
        raise CheckpointError(
            f"{len(extra)} tensors are left over ({first_few(extra, _SHOWN)})",
            path=prefix,
            hint="It was trained with more instruments than instrument_list names.",
        )


def write_checkpoint(network: Any, folder: Path, *, step: int) -> None:
    """Write a network's weights as a checkpoint that Spleeter loads, whole or not at all; replaces ``folder``.

    Args:
        network: As `registry.build_network` makes it.
        folder: Becomes ``checkpoint``, ``model.index``, ``model.data-00000-of-00001`` and Spleeter's ``.probe``.
        step: Training step, stored as ``global_step``.

    Raises:
        OSError: if the disk takes no more; ``folder`` is as it was.
    """
    import tensorflow as tf

    arrays = {tensor.name: tensor.to_spleeter(np.asarray(tensor.variable)) for tensor in _network_tensors(network)}
    names = [*sorted(arrays), "global_step"]
    values = [tf.constant(arrays[name], tf.float32) for name in names[:-1]] + [tf.constant(step, tf.int64)]
    with atomic_folder(folder, model_names) as temporary:
        try:
            tf.raw_ops.SaveV2(
                prefix=str(temporary / _FILE), tensor_names=names, shape_and_slices=[""] * len(names), tensors=values
            )
        except tf.errors.OpError as error:
            refused = named_in(error.message) or OSError(errno.EIO, os.strerror(errno.EIO))
            raise OSError(refused.errno, refused.strerror, str(folder)) from error
        # Relative, so that the folder can be moved.
        (temporary / "checkpoint").write_text(
            f'model_checkpoint_path: "{_FILE}"\nall_model_checkpoint_paths: "{_FILE}"\n', "utf-8"
        )
        (temporary / ".probe").write_text("OK", "utf-8")  # Spleeter takes a folder without it for no model
