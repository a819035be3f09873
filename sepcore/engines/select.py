"""Which engine runs a model."""

from pathlib import Path
from typing import Literal, get_args

from sepcore.config import ModelConfig
from sepcore.engines.base import Engine
from sepcore.errors import ConfigError

EngineName = Literal["auto", "tensorflow"]


def check_engine(name: str) -> None:
    """Raise ConfigError if there is no engine of that name."""
    if name not in get_args(EngineName):
        raise ConfigError(f"engine is {name!r}; expected one of {', '.join(get_args(EngineName))}.")


def load_engine(name: EngineName, config: ModelConfig, folder: Path) -> Engine:
    """Load the network of ``config``, with the checkpoint in ``folder``, on the named engine.

    Args:
        name: ``"tensorflow"``, or ``"auto"`` for the best one here.
        config: The model's config.
        folder: Holds the model's checkpoint.

    Raises:
        ConfigError: if there is no such engine.
        CheckpointError: if the weights do not fit.
    """
    check_engine(name)
    from sepcore.engines.tensorflow import TensorFlowEngine

    return TensorFlowEngine.load(config, folder)
