"""Which forms there are, and which models each of them can hold."""

from typing import Literal, get_args

from sepcore.config.model_config import ModelConfig
from sepcore.errors import ExportError

Format = Literal["savedmodel", "onnx", "sherpa-onnx"]
FORMATS: tuple[Format, ...] = get_args(Format)

SHERPA_INSTRUMENTS = ("vocals", "accompaniment")
# What sherpa-onnx has built in, by the keys of the JSON.
_SHERPA_KEYS = {
    "sample_rate": 44100,
    "frame_length": 4096,
    "frame_step": 1024,
    "T": 512,
    "F": 1024,
    "n_channels": 2,
    "separation_exponent": 2.0,
    "mask_extension": "zeros",
}
_SHERPA_NETWORKS = ("unet.unet", "unet.softmax_unet")


def check_exportable(config: ModelConfig, form: Format) -> None:
    """Raise ExportError if a form cannot hold a model: all fit a SavedModel and ONNX, few fit sherpa-onnx."""
    if form != "sherpa-onnx":
        return
    instruments = config.instruments
    if sorted(instruments) != sorted(SHERPA_INSTRUMENTS):
        raise _refusal("instrument_list", ", ".join(instruments), " and ".join(SHERPA_INSTRUMENTS))
    if config.model.type not in _SHERPA_NETWORKS:
        raise _refusal("model.type", config.model.type, " or ".join(_SHERPA_NETWORKS))
    values = config.model_dump(by_alias=True)
    for key, allowed in _SHERPA_KEYS.items():
        if values[key] != allowed:
            raise _refusal(key, values[key], allowed)


def _refusal(key: str, value: object, allowed: object) -> ExportError:
    return ExportError(
        f"{key} is {value}, but sherpa-onnx separates only with {allowed}", hint="Use --format onnx or savedmodel."
    )
