"""The ``model`` key of a model's JSON: which network, and its parameters."""

import json
from importlib.metadata import entry_points
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
    model_validator,
)

Activation = Literal["LeakyReLU", "ReLU", "ELU"]
# Weights grow with its square, and are made before those of the checkpoint are found not to fit.
_Width = Annotated[int, Field(ge=1, le=4096)]


class StrictModel(BaseModel):
    """Base of all configs: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,  # a field's docstring is its line in docs/config.md and in Prefect's form
    )


class UNetParams(StrictModel):
    """``model.params`` of ``unet.unet`` and ``unet.softmax_unet``."""

    conv_n_filters: Annotated[tuple[_Width, ...], Field(min_length=6, max_length=6)] = (16, 32, 64, 128, 256, 512)
    """Filters of the six levels of the encoder; the decoder mirrors them."""
    conv_activation: Activation = "LeakyReLU"
    """Activation of the encoder (LeakyReLU with slope 0.2)."""
    deconv_activation: Activation = "ReLU"
    """Activation of the decoder."""

    @property
    def downsampling(self) -> int:
        """By how much the deepest level is smaller than the input, along frames and bins."""
        return 1 << len(self.conv_n_filters)


class BLSTMParams(StrictModel):
    """``model.params`` of ``blstm.blstm``."""

    lstm_units: _Width = 250
    """Units of each direction of the three LSTM layers."""

    @property
    def downsampling(self) -> int:
        """A recurrent network takes any number of frames and bins."""
        return 1


# What `model.params` may hold, by `model.type`. `sepcore.networks.registry.register_network` adds to it.
NETWORK_PARAMS: dict[str, type[BaseModel]] = {
    "unet.unet": UNetParams,
    "unet.softmax_unet": UNetParams,
    "blstm.blstm": BLSTMParams,
}


def _params_class(network_type: str) -> type[BaseModel]:
    if network_type not in NETWORK_PARAMS:
        # A package of the user's may bring networks: its entry point registers them when loaded.
        for entry_point in entry_points(group="stemworks.networks"):
            entry_point.load()()
    if network_type not in NETWORK_PARAMS:
        known = ", ".join(sorted(NETWORK_PARAMS))
        raise ValueError(f"type is {network_type!r}; expected one of {known}. See sepcore.networks.register_network.")
    return NETWORK_PARAMS[network_type]


class NetworkConfig(StrictModel):
    """The ``model`` key: which network, and its parameters."""

    type: str = "unet.unet"
    """``unet.unet``, ``unet.softmax_unet``, ``blstm.blstm`` or a registered network of your own."""
    params: SerializeAsAny[BaseModel] = Field(default_factory=UNetParams)
    """The network's own parameters."""

    @field_validator("type")
    @classmethod
    def _type_is_known(cls, value: str) -> str:
        _params_class(value)
        return value

    @field_validator("params", mode="before")
    @classmethod
    def _params_fit_the_type(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, BaseModel) or "type" not in info.data:
            return value
        return _params_class(info.data["type"]).model_validate_json(json.dumps(value))

    @model_validator(mode="before")
    @classmethod
    def _params_default_to_the_types_own(cls, value: Any) -> Any:
        return {**value, "params": value.get("params", {})} if isinstance(value, dict) else value
