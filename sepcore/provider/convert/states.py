"""The tensors of an SCNet in what a checkpoint holds: where training programs put them, and whether they fit."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.network import SCNetParams
from sepcore.errors import CheckpointError
from sepcore.networks.scnet_tensors import Shape, fitting_params, scnet_shapes
from sepcore.provider.convert.torch_file import TorchFile
from sepcore.provider.convert.torch_pickle import TorchTensor
from sepcore.system.memory import free_bytes
from sepcore.system.printable import first_few, printable

# Of SCNet's author (the best by SDR, the last), of MSST, of Lightning; the first that is there.
AUTHORS_STATE = "best_state"
_STATES = (AUTHORS_STATE, "state", "model_state_dict", "state_dict", "model")
_PREFIXES = ("module.", "model.")
# Tensors that tell a relative of SCNet, and its name in MSST.
_RELATIVES = {"mask_layer.": "scnet_masked", "pos_embed_f": "scnet_masked", "time_layer.": "scnet_tran"}
_FLOATS = {"f2", "f4", "f8", "bf2"}
_SHOWN, _MOST_SHOWN = 3, 80
_FLOAT32 = 4


def find_state(content: Any, path: Path) -> tuple[str, dict[str, TorchTensor]]:
    """The state dict in a checkpoint's content.

    Returns:
        Under which key it is, empty for the content itself; its tensors by name, without ``module.`` and ``model.``.

    Raises:
        CheckpointError: there is none.
    """
    if isinstance(content, dict):
        for key in _STATES:
            if tensors := _tensors(content.get(key)):
                return key, tensors
        if tensors := _tensors(content):
            return "", tensors
    raise CheckpointError(
        f"holds no state dict, neither by itself nor as {', '.join(_STATES)}",
        path=path,
        hint="Save it with PyTorch: torch.save(model.state_dict(), FILE).",
    )


def _tensors(state: Any) -> dict[str, TorchTensor]:
    if not isinstance(state, dict):
        return {}
    found = {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, TorchTensor)}
    for prefix in _PREFIXES:
        if found and all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): value for name, value in found.items()}
    return found


def shapes_of(tensors: Mapping[str, TorchTensor]) -> dict[str, Shape]:
    """The tensors' shapes by name."""
    return {name: tensor.shape for name, tensor in tensors.items()}


def check_fit(tensors: Mapping[str, TorchTensor], params: SCNetParams, num_stems: int, path: Path) -> None:
    """Refuse tensors that are not those of this SCNet.

    CheckpointError names the first that do not fit and, if they are another SCNet's, the ``params`` that would.
    """
    wanted, given = scnet_shapes(params, num_stems), shapes_of(tensors)
    faults = [f"{name} is missing" for name in wanted if name not in given]
    faults += [
        f"{name} is {given[name]} instead of {shape}"
        for name, shape in wanted.items()
        if name in given and given[name] != shape
    ]
    faults += [f"{_shown(name)} is left over" for name in given if name not in wanted]
    faults += [f"{name} is of whole numbers" for name in wanted if name in given and tensors[name].kind not in _FLOATS]
    if faults:
        raise CheckpointError(
            f"{len(faults)} tensors do not fit ({first_few(faults, _SHOWN)})", path=path, hint=_mended(given)
        )


def _mended(given: Mapping[str, Shape]) -> str:
    for part, name in _RELATIVES.items():
        if any(part in tensor for tensor in given):
            return f"It is of another network, {name}, which is not built here."
    fitting = fitting_params(given)
    if fitting is None or scnet_shapes(*fitting) != dict(given):
        return "It is of another network than SCNet, or not whole."
    params, num_stems = fitting
    keys = json.loads(params.model_dump_json(by_alias=True, exclude={"band_shares", "band_strides", "standardize"}))
    return f"These params would fit: {json.dumps(keys)}, with {num_stems} instruments."


def _shown(name: str) -> str:
    return printable(name)[:_MOST_SHOWN]


def read_state(file: TorchFile, tensors: Mapping[str, TorchTensor], path: Path) -> dict[str, NDArray[np.float32]]:
    """The values of tensors of floats, as float32.

    CheckpointError if they are not finite, do not fit into the memory, or cannot be read.
    """
    needed = 2 * _FLOAT32 * sum(math.prod(tensor.shape) for tensor in tensors.values())
    if needed > (free := free_bytes()):
        raise CheckpointError(
            f"takes {needed / 1e9:.1f} GB of memory to convert, and {free / 1e9:.1f} GB are free",
            path=path,
            hint="End other programs, or convert it on a larger machine.",
        )
    values = file.read(tensors)
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, which is refused
        found = {name: values.pop(name).astype(np.float32, copy=False) for name in tensors}
    broken = [name for name, value in found.items() if value.size and not np.isfinite([value.min(), value.max()]).all()]
    if broken:
        raise CheckpointError(
            f"NaN or infinity in {first_few(broken, _SHOWN)}", path=path, hint="Fetch or train the model again."
        )
    return found
