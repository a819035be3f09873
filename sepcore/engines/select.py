"""Which engine runs a model."""

import logging
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

from sepcore.config.choices import EngineName, Precision
from sepcore.config.model_config import ModelConfig
from sepcore.engines.base import Engine
from sepcore.engines.converted import ConversionFailed, convert_network_once, converted_network
from sepcore.engines.openvino import OpenVinoEngine, computes_in_bfloat16, load_openvino
from sepcore.errors import ConfigError, EngineUnusable
from sepcore.networks.stored_tensors import load_tensors, tensor_shapes

_logger = logging.getLogger(__name__)
_DEVICES = Path("/dev")


def check_engine(name: str) -> None:
    """Raise ConfigError if there is no engine of that name."""
    if name not in get_args(EngineName):
        raise ConfigError(f"no engine is called {name!r}", hint=f"Use one of {', '.join(get_args(EngineName))}.")


def load_engine(name: EngineName, config: ModelConfig, folder: Path, *, precision: Precision = "float32") -> Engine:
    """Load the network of ``config``, with the checkpoint in ``folder``, on an engine.

    ``"tensorflow"`` is the reference, ``"openvino"`` is for CPUs. ``"auto"`` takes TensorFlow where there is a GPU,
    else OpenVINO; in a process that has loaded TensorFlow it does not convert a registered network. Where OpenVINO does
    not load, or cannot run the network, ``"auto"`` warns and takes TensorFlow if it is installed. Only the network
    computes in ``precision``: STFT, masks and inverse STFT are always float32.

    Raises:
        ConfigError: there is no such engine, or it cannot run this network.
        EngineUnusable: OpenVINO does not load, and TensorFlow is not wanted or not installed.
        CheckpointError: the weights do not fit.
    """
    check_engine(name)
    precision = chosen_precision(precision, name, config)
    if name == "openvino" or (name == "auto" and _prefers_openvino(config, folder)):
        try:
            return _openvino_engine(config, folder, precision)
        except EngineUnusable as error:
            if name == "openvino" or not _has_tensorflow():
                raise
            _logger.warning("%s: runs on TensorFlow, since %s", folder.name, error.problem)
        except ConversionFailed as error:
            if name == "openvino":
                raise ConfigError(
                    f"OpenVINO cannot run this network ({error})", path=folder, hint="Use the engine tensorflow."
                ) from error
            _logger.warning("%s: runs on TensorFlow, since OpenVINO cannot run its network: %s", folder.name, error)
    from sepcore.engines.keras import TensorFlowEngine

    return TensorFlowEngine.load(config, folder, precision=precision)


def _openvino_engine(config: ModelConfig, folder: Path, precision: Precision) -> OpenVinoEngine:
    shapes = tensor_shapes(config)
    if shapes is not None:
        return OpenVinoEngine(config, load_tensors(shapes, folder)[0], precision=precision)
    load_openvino()  # before a registered network is converted in vain
    return OpenVinoEngine(config, convert_network_once(config, folder), precision=precision)


def _has_tensorflow() -> bool:
    return all(map(find_spec, ("tensorflow", "keras")))


def chosen_precision(precision: Precision, engine: EngineName, config: ModelConfig) -> Precision:
    """What a network will compute in here.

    ``"auto"`` is bfloat16 for one of Spleeter's in OpenVINO on a processor that computes in it, otherwise float32.
    """
    if precision != "auto":
        return precision
    is_spleeters = tensor_shapes(config) is not None and config.model.domain == "magnitude"
    if engine == "tensorflow" or not is_spleeters or tensorflow_lists_gpu() or not find_spec("openvino"):
        return "float32"
    return "bfloat16" if computes_in_bfloat16() else "float32"


def _prefers_openvino(config: ModelConfig, folder: Path) -> bool:
    runs_tensorflow = "tensorflow" in sys.modules  # before a GPU is looked for
    if tensorflow_lists_gpu():
        return False
    is_built_in = tensor_shapes(config) is not None
    return is_built_in or not runs_tensorflow or converted_network(config, folder) is not None


def tensorflow_lists_gpu() -> bool:
    """Whether TensorFlow is installed and finds a GPU; it is loaded only on machines with one from NVIDIA."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if hidden or not any(_DEVICES.glob("nvidia[0-9]*")) or not _has_tensorflow():
        return False
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return True
    _logger.warning(
        "TensorFlow cannot use this machine's GPU; separating on the CPU. This package's extra gpu installs the CUDA "
        "libraries that it needs."
    )
    return False
