"""The ``model`` key of a model's JSON: which network, and its parameters."""

import json
from importlib.metadata import entry_points
from typing import Annotated, Any, Literal, Self

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
Domain = Literal["magnitude", "complex"]
"""What a network takes and gives: magnitudes, or real and imaginary parts of complex spectra."""
# Weights grow with its square, and are made before those of the checkpoint are found not to fit.
_Width = Annotated[int, Field(ge=1, le=4096)]
_Count = Annotated[int, Field(ge=1, le=64)]
_PerBand = tuple[_Count, _Count, _Count]
_Part = Annotated[float, Field(gt=0, lt=1)]
_BandShares = tuple[_Part, _Part, _Part]
_SHARES_ROUNDED = 1e-3


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


class SCNetParams(StrictModel):
    """``model.params`` of ``scnet.scnet``, under the names of its author's code."""

    dims: Annotated[tuple[_Width, ...], Field(min_length=2, max_length=8)] = (4, 32, 64, 128)
    """Channels before the encoder, 2 · `n_channels`, and after each of its levels."""
    band_shares: _BandShares = Field((0.175, 0.392, 0.433), alias="band_SR")
    """Shares of the bins in the low, the middle and the high band."""
    band_strides: _PerBand = Field((1, 4, 16), alias="band_stride")
    """By how much each level makes a band's bins fewer."""
    band_kernels: _PerBand = Field((3, 4, 16), alias="band_kernel")
    """Bins that the convolutions of a band see."""
    conv_depths: _PerBand = (3, 2, 1)
    """Convolution modules of a band in each level."""
    compress: _Count = 4
    """By how much the convolution modules narrow their channels."""
    conv_kernel: _Count = 3
    """Frames that the convolution modules see; odd."""
    num_dual_path_layers: _Count = Field(6, alias="num_dplayer")
    """Dual-path layers; even, since every other one works on the Fourier transform over frames."""
    expand: _Count = 1
    """Units of an LSTM in each direction, as a multiple of its channels."""
    standardize: bool = False
    """Bring each segment's spectra to mean 0 and deviation 1 in the network itself, and the stems back, as SCNet's
    author does since September 2024; MSST does not."""

    @property
    def frames_multiple(self) -> int:
        """``T`` must be a multiple of it: the Fourier transform over frames has an inverse for even numbers."""
        return 2

    @model_validator(mode="after")
    def _layers_fit(self) -> Self:
        if self.num_dual_path_layers % 2:
            raise ValueError(f"num_dplayer is {self.num_dual_path_layers}; give an even number.")
        if self.conv_kernel % 2 == 0:
            raise ValueError(f"conv_kernel is {self.conv_kernel}; give an odd number.")
        # The network needs only two of them: another third one would be the same network under another fingerprint.
        if abs(sum(self.band_shares) - 1) > _SHARES_ROUNDED or sum(self.band_shares[:2]) >= 1:
            raise ValueError(f"band_SR is {list(self.band_shares)}; give three shares that add up to 1.")
        if min(self.dims[1:]) < self.compress:
            raise ValueError(f"compress is {self.compress}; it must not be above the channels, {min(self.dims[1:])}.")
        small = [
            (kernel, stride)
            for kernel, stride in zip(self.band_kernels, self.band_strides, strict=True)
            if kernel < stride
        ]
        if small:
            raise ValueError(f"band_kernel has {small[0][0]} where band_stride has {small[0][1]}; bins would be lost.")
        return self


# What `model.params` may hold, by `model.type`. `sepcore.networks.registry.register_network` adds to it.
NETWORK_PARAMS: dict[str, type[BaseModel]] = {
    "unet.unet": UNetParams,
    "unet.softmax_unet": UNetParams,
    "blstm.blstm": BLSTMParams,
    "scnet.scnet": SCNetParams,
}
# Of complex networks; all others take magnitudes.
NETWORK_DOMAINS: dict[str, Domain] = {"scnet.scnet": "complex"}


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
    """``unet.unet``, ``unet.softmax_unet``, ``blstm.blstm``, ``scnet.scnet`` or a registered network of your own."""
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

    @property
    def domain(self) -> Domain:
        """What the network takes and gives."""
        return NETWORK_DOMAINS.get(self.type, "magnitude")
