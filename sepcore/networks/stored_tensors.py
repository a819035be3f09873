"""The tensors of networks in checkpoints: names, shapes, and reading and writing them in a model's folder.

Spleeter's layers are counted by kind in the order in which Spleeter creates them, instrument after instrument.
SCNet's tensors are called as in PyTorch (`scnet_tensors`).
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.config.network import BLSTMParams, SCNetParams, UNetParams
from sepcore.errors import CheckpointError
from sepcore.networks.checkpoint_files import find_checkpoint
from sepcore.networks.scnet_tensors import Shape, scnet_shapes
from sepcore.networks.tensor_bundle import GET_AGAIN, TensorBundle, write_tensor_bundle
from sepcore.system.memory import free_bytes
from sepcore.system.printable import first_few

Layer = tuple[str, dict[str, Shape]]

_SHOWN = 3
_FILE = "model"
_KERNEL, _LAST_KERNEL = (5, 5), (4, 4)
_LSTM_LAYERS, _GATES = 3, 4


def tensor_shapes(config: ModelConfig) -> dict[str, Shape] | None:
    """The shape of every tensor of a model's network, by name; None if only Keras knows them."""
    params = config.model.params
    if isinstance(params, SCNetParams):
        return scnet_shapes(params, len(config.instruments))
    if isinstance(params, UNetParams):
        layers = list(_unet_layers(params, config.num_channels))
    elif isinstance(params, BLSTMParams):
        layers = list(_blstm_layers(params, config.num_bins * config.num_channels))
    else:
        return None
    seen: Counter[str] = Counter()
    shapes: dict[str, Shape] = {}
    for kind, leaves in layers * len(config.instruments):
        for place in layer_places(kind, seen[kind]):
            shapes |= {f"{place}/{leaf}": shape for leaf, shape in leaves.items()}
        seen[kind] += 1
    return shapes


def layer_places(kind: str, number: int) -> list[str]:
    """What the names of a layer's tensors start with; of a bidirectional one, its forward and its backward LSTM."""
    name = layer_name(kind, number)
    if kind != "bidirectional":
        return [name]
    return [f"{name}/{way}_{layer_name('cu_dnnlstm', number)}" for way in ("forward", "backward")]


def layer_name(kind: str, number: int) -> str:
    """The name of a kind's layer by its number, from 0."""
    if kind == "time_distributed":
        # Spleeter wraps three layers of an instrument in TimeDistributed; the first (flatten) and the second (dense)
        # take a number, the third has a name of its own.
        number = 2 * number + 1
    return f"{kind}_{number}" if number else kind


def _unet_layers(params: UNetParams, num_channels: int) -> Iterator[Layer]:
    filters = params.conv_n_filters
    width = num_channels
    for count in filters:
        yield _convolution("conv2d", _KERNEL, width, count)
        yield _norm(count)
        width = count
    for count, skip in zip((*filters[-2::-1], 1), (*filters[-2::-1], 0), strict=True):
        yield _convolution("conv2d_transpose", _KERNEL, count, width, num_biases=count)
        yield _norm(count)
        width = count + skip
    yield _convolution("conv2d", _LAST_KERNEL, width, num_channels)


def _convolution(kind: str, kernel: Shape, width: int, count: int, *, num_biases: int | None = None) -> Layer:
    return kind, {"kernel": (*kernel, width, count), "bias": (num_biases or count,)}


def _norm(count: int) -> Layer:
    return "batch_normalization", dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (count,))


def _blstm_layers(params: BLSTMParams, width: int) -> Iterator[Layer]:
    units, inputs = params.lstm_units, width
    for _ in range(_LSTM_LAYERS):
        cell: dict[str, Shape] = {"kernel": (inputs, _GATES * units), "recurrent_kernel": (units, _GATES * units)}
        yield "bidirectional", {**cell, "bias": (2 * _GATES * units,)}
        inputs = 2 * units
    yield "time_distributed", {"kernel": (inputs, width), "bias": (width,)}


def load_tensors(
    shapes: Mapping[str, Shape], folder: Path, *, others: bool = False
) -> tuple[dict[str, NDArray[np.float32]], int]:
    """Read the tensors that a network needs from the checkpoint in a folder.

    Args:
        shapes: As `tensor_shapes` gives them.
        folder: Holds ``checkpoint``, ``*.index`` and ``*.data-*``.
        others: Whether the checkpoint may have other tensors of a network, too.

    Returns:
        The tensors by name, and the training step at which they were written; 0 if the checkpoint has none.

    Raises:
        CheckpointError: there is no checkpoint, it is damaged, or tensors are missing, of another shape, not finite, or
            left over (a model with more instruments), or the memory does not hold them.
    """
    prefix = _checkpoint_in(folder)
    bundle = TensorBundle(prefix)
    stored = bundle.shapes
    names = _stored_names(shapes, stored)
    _check_names_and_shapes({names[name]: shape for name, shape in shapes.items()}, stored, prefix)
    if not others:
        _check_nothing_left(set(names.values()), stored, prefix)
    _check_memory(shapes, prefix)
    values = {name: _weights(bundle, names[name], prefix) for name in shapes}
    # The least and the largest value tell, without a large array of truths.
    broken = [names[name] for name, value in values.items() if not np.isfinite([value.min(), value.max()]).all()]
    if broken:
        raise CheckpointError(
            f"NaN or infinity in {first_few(broken, _SHOWN)}", path=prefix, hint="Train the model again."
        )
    return values, _step(bundle, prefix) if "global_step" in stored else 0


def _check_memory(shapes: Mapping[str, Shape], prefix: Path) -> None:
    needed, free = 4 * sum(map(math.prod, shapes.values())), free_bytes()
    if needed > free:  # else the system would end the process, without a word
        raise CheckpointError(
            f"its weights take {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free",
            path=prefix,
            hint="End other programs, or use a larger machine or a smaller model.",
        )


def write_tensors(folder: Path, tensors: Mapping[str, NDArray[np.float32]], *, step: int) -> None:
    """Write a checkpoint's files into an empty folder, which the caller makes whole or not at all.

    Args:
        folder: Is given ``checkpoint``, ``model.index``, ``model.data-00000-of-00001`` and ``.probe``.
        tensors: By name, as `load_tensors` reads them.
        step: Training step, stored as ``global_step``.
    """
    write_tensor_bundle(folder / _FILE, {**tensors, "global_step": np.asarray(step, np.int64)})
    # Relative, so that the folder can be moved.
    (folder / "checkpoint").write_text(
        f'model_checkpoint_path: "{_FILE}"\nall_model_checkpoint_paths: "{_FILE}"\n', "utf-8"
    )
    (folder / ".probe").write_text("OK", "utf-8")  # without it Spleeter sees no model


def check_stored(config: ModelConfig, folder: Path) -> None:
    """Refuse a checkpoint that does not fit a model, without reading its values or building its network.

    Raises:
        CheckpointError: as `load_tensors` does, but for values. A registered network's is found out by reading it.
    """
    shapes = tensor_shapes(config)
    if shapes is not None:
        stored = stored_shapes(folder)
        names = _stored_names(shapes, stored)
        _check_names_and_shapes({names[name]: shape for name, shape in shapes.items()}, stored, folder)


def stored_shapes(folder: Path) -> Mapping[str, Shape]:
    """The shape of every tensor of the checkpoint in a folder, by name (CheckpointError: none, or damaged)."""
    return TensorBundle(_checkpoint_in(folder)).shapes


def _checkpoint_in(folder: Path) -> Path:
    prefix = find_checkpoint(folder)
    if prefix is None:
        raise CheckpointError("no complete checkpoint (*.index and *.data-*)", path=folder, hint=GET_AGAIN)
    return prefix


def _weights(bundle: TensorBundle, name: str, prefix: Path) -> NDArray[np.float32]:
    stored = bundle.read(name)
    if stored.dtype.kind != "f":
        raise CheckpointError(f"{name} is of {stored.dtype}, not of floats", path=prefix, hint=GET_AGAIN)
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, which is refused
        return stored.astype(np.float32, copy=False)


def _step(bundle: TensorBundle, prefix: Path) -> int:
    step = bundle.read("global_step") if bundle.shapes["global_step"] == () else None
    if step is None or step.dtype.kind not in "iu":
        raise CheckpointError("global_step is not one whole number", path=prefix, hint=GET_AGAIN)
    return int(step)


_OF_A_MODEL = re.compile(
    r"(conv2d|conv2d_transpose|batch_normalization|time_distributed)(_\d+)?/"
    r"(kernel|bias|gamma|beta|moving_mean|moving_variance)|bidirectional(_\d+)?/\w+/(kernel|recurrent_kernel|bias)|"
    r"(encoder|decoder|separation_net)\.[\w.]+"
)


def _stored_names(wanted: Mapping[str, Shape], stored: Mapping[str, Shape]) -> dict[str, str]:
    """Dense layers of a BLSTM by their order: how many wrappers take a number has changed between Keras versions."""
    ours, theirs = _dense_layers(wanted), _dense_layers(stored)
    new = dict(zip(ours, theirs, strict=True)) if len(ours) == len(theirs) else {}
    parted = {name: name.partition("/") for name in wanted}
    return {name: f"{new.get(layer, layer)}{slash}{leaf}" for name, (layer, slash, leaf) in parted.items()}


def _dense_layers(names: Mapping[str, Shape]) -> list[str]:
    layers = {name.split("/")[0] for name in names if re.fullmatch(r"time_distributed(_\d+)?/kernel", name)}
    return sorted(layers, key=lambda layer: int(layer.rpartition("_")[2]) if layer[-1].isdigit() else 0)


def _check_names_and_shapes(wanted: Mapping[str, Shape], stored: Mapping[str, Shape], prefix: Path) -> None:
    missing = [name for name in wanted if name not in stored]
    if missing:
        raise CheckpointError(
            f"{len(missing)} of {len(wanted)} tensors are missing ({first_few(missing, _SHOWN)})",
            path=prefix,
            hint="Was it trained with another model.type or instrument_list?",
        )
    differing = [
        f"{name} is {stored[name]} instead of {shape}" for name, shape in wanted.items() if stored[name] != shape
    ]
    if differing:
        raise CheckpointError(
            f"{len(differing)} tensors have another shape ({first_few(differing, _SHOWN)})",
            path=prefix,
            hint="Was it trained with other model.params or n_channels?",
        )


def _check_nothing_left(wanted: Collection[str], stored: Mapping[str, Shape], prefix: Path) -> None:
    extra = sorted(name for name in stored if _OF_A_MODEL.fullmatch(name) and name not in wanted)
    if extra:
        raise CheckpointError(
            f"{len(extra)} tensors are left over ({first_few(extra, _SHOWN)})",
            path=prefix,
            hint="It was trained with more instruments than instrument_list names, or with other model.params.",
        )
