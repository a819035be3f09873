"""All that decides a separation beside the audio."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, get_args

from sepcore.config.choices import MAX_OVERLAP, MAX_SHIFTS, EngineName, Precision
from sepcore.config.load import OVERRIDES, changed_config
from sepcore.config.model_config import ModelConfig
from sepcore.engines.select import check_engine, chosen_precision
from sepcore.errors import ConfigError
from sepcore.provider.resolve import LocalModel, locate_model

_logger = logging.getLogger(__name__)
# Weights give good stems only with the values that they were trained with; T and F may change, as with Spleeter.
_OF_THE_WEIGHTS = {
    "instrument_list": "instruments",
    "sample_rate": "sample_rate",
    "frame_length": "frame_length",
    "frame_step": "hop_length",
    "model": "model",
}


@dataclass(frozen=True)
class SeparatorSettings:
    """All that decides a separation beside the audio; small, so that it can be sent to another process.

    Attributes:
        model: What ``-p`` takes: a name (``2stems``), a JSON file, a release tarball, a run folder. A named model that
            is not in `MODEL_PATH` is downloaded.
        mwf: Multichannel Wiener filtering instead of ratio masks; None: as the config says.
        engine: What runs the network: ``"openvino"`` on CPUs, ``"tensorflow"``; ``"auto"``: the best one here.
        overlap: Fraction of a segment by which neighbors overlap, 0 to 0.9; they are cross-faded. None: as Spleeter, 0;
            of complex networks 0.25.
        shifts: How often the song is separated, each time at another place on the grid of segments; the stems are the
            mean. As Spleeter: 1.
        precision: What the network computes in; ``"bfloat16"`` is faster on processors and GPUs that have it;
            ``"auto"``: see `chosen_precision`.
        overrides: Keys of the model's config with other values, dotted where they lie inside an object.

    Raises:
        ConfigError: a value is out of range.
    """

    model: str
    mwf: bool | None = None
    engine: EngineName = "auto"
    overlap: float | None = None
    shifts: int = 1
    precision: Precision = "float32"
    overrides: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_engine(self.engine)
        if self.precision not in get_args(Precision):
            raise ConfigError(f"precision is {self.precision!r}", hint=f"Give one of {', '.join(get_args(Precision))}.")
        if self.overlap is not None and not 0 <= self.overlap <= MAX_OVERLAP:
            raise ConfigError(f"overlap is {self.overlap:g}", hint=f"Give 0 to {MAX_OVERLAP}, e.g. 0.5.")
        if not 1 <= self.shifts <= MAX_SHIFTS:
            raise ConfigError(
                f"shifts is {self.shifts}", hint=f"Give 1, which is a single separation, to {MAX_SHIFTS}."
            )


def located_model(settings: SeparatorSettings) -> LocalModel:
    """The model of some settings as `locate_model` finds it, its config changed by their ``overrides``.

    A process warns once of overrides that do not fit the weights.
    """
    model = locate_model(settings.model)
    config = changed_config(model.config, settings.overrides, OVERRIDES)
    differing = [key for key, name in _OF_THE_WEIGHTS.items() if getattr(config, name) != getattr(model.config, name)]
    if differing:
        _warn_of_weights(model.name, ", ".join(differing))
    return replace(model, config=config)


def for_model(settings: SeparatorSettings, config: ModelConfig) -> SeparatorSettings:
    """Settings with the overlap and the precision that a model gets; see `chosen_precision`."""
    overlap = config.default_overlap if settings.overlap is None else settings.overlap
    precision = chosen_precision(settings.precision, settings.engine, config)
    return replace(settings, overlap=overlap, precision=precision)


@lru_cache
def _warn_of_weights(model: str, keys: str) -> None:
    _logger.warning(
        "%s: the weights were trained with another %s than --set gives; expect poor or swapped stems", model, keys
    )
