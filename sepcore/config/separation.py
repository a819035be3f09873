"""The keys of a model's JSON that say what is separated, on which spectrograms, by which network."""

import json
from pathlib import PurePosixPath
from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from sepcore.config.network import NetworkConfig, SCNetParams, StrictModel
from sepcore.system.foreign import is_name
from sepcore.system.printable import is_printable

_MOST_STEMS = 100
# A segment of Spleeter's has 2^20 values; a network takes many times the memory of one.
_MOST_VALUES = 2**27
_MOST_HZ = 768_000
_COMPLEX_OVERLAP = 0.25
_OF_MAGNITUDES = ("separation_exponent", "mask_extension")
_OF_COMPLEX = ("stft_window", "stft_normalized", "stft_padding", "mixture_consistency")


class SeparationKeys(StrictModel):
    """What a separation needs to know. Lengths are in samples or STFT frames."""

    mix_name: str = "mix"
    """Name of the mixture's column in the CSVs (``<mix_name>_path``)."""
    instruments: tuple[str, ...] = Field(
        ("vocals", "accompaniment"), alias="instrument_list", min_length=1, max_length=_MOST_STEMS
    )
    """The stems, in the order of the network's outputs."""
    sample_rate: PositiveInt = Field(44100, le=_MOST_HZ)
    """Rate of the model in Hz; audio at another rate is resampled."""
    frame_length: PositiveInt = 4096
    """STFT window in samples."""
    hop_length: PositiveInt = Field(1024, alias="frame_step")
    """STFT step in samples."""
    segment_frames: PositiveInt = Field(512, alias="T")
    """STFT frames that the network sees at once."""
    num_bins: PositiveInt = Field(1024, alias="F")
    """Lowest STFT bins that the network sees; what lies above is left to `mask_extension`."""
    num_channels: PositiveInt = Field(2, alias="n_channels")
    """Audio channels of the model."""
    separation_exponent: PositiveFloat = 2.0
    """Power of the estimates in the ratio masks: 1 amplitude, 2 Wiener-like."""
    mask_extension: Literal["zeros", "average"] = "zeros"
    """Masks above bin `F`: silence, or the frame's mean over the bins below."""
    mwf: bool = Field(False, alias="MWF")
    """Separate by multichannel Wiener filtering instead of ratio masks, or of a complex network's own spectra."""
    stft_window: Literal["hann", "rectangular"] = "hann"
    """Window of the STFT. Of complex networks, as are the next three (own keys)."""
    stft_normalized: bool = False
    """Whether the STFT is divided by the square root of `frame_length`."""
    stft_padding: Literal["spleeter", "centered"] = "spleeter"
    """How the waveform begins for the STFT: after a frame of zeros, or after half a frame of its own reflection, as it
    then ends, too."""
    mixture_consistency: bool = False
    """At separation, share what the stems leave of the mixture among them equally, so that they add up to it."""
    model: NetworkConfig = Field(default_factory=lambda: NetworkConfig.model_validate({}))
    """The network: `type` and `params`."""
    model_dir: str | None = None
    """Folder of the model's checkpoint: relative to `MODEL_PATH` and below it, or absolute."""

    @field_validator("instruments")
    @classmethod
    def _instruments_are_listed_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in value if value.count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]!r} is listed twice; name every instrument once.")
        unusable = [name for name in value if not is_name(name)]
        if unusable:
            raise ValueError(f"{unusable[0]!r} cannot be the name of a stem: it becomes a file name; use letters.")
        return value

    @field_validator("model_dir")
    @classmethod
    def _model_dir_names_a_folder(cls, value: str | None) -> str | None:
        if value is None:
            return value
        path = PurePosixPath(value)
        if not value.strip() or not path.name or ".." in path.parts or not is_printable(value):
            raise ValueError(
                f"{json.dumps(value)} names no folder of its own; give a path below MODEL_PATH, such as my-model, or "
                "an absolute one, without '..'."
            )
        return value

    @model_validator(mode="after")
    def _mixture_is_no_stem(self) -> Self:
        if self.mix_name in self.instruments:
            raise ValueError(f"mix_name is {self.mix_name!r}, which instrument_list has too; rename one of them.")
        return self

    @model_validator(mode="after")
    def _windows_tile(self) -> Self:
        frame, hop = self.frame_length, self.hop_length
        # A Hann window applied twice (analysis, synthesis) sums to a constant only from 3 hops a frame.
        if frame % 2 or frame % hop or frame // hop < 3:
            raise ValueError(
                f"frame_step is {hop}; frame_length ({frame}) must be an even whole multiple of it, at least 3. "
                f"Try {max(frame // 4, 1)}."
            )
        return self

    @model_validator(mode="after")
    def _network_fits_the_spectrogram(self) -> Self:
        bins = self.frame_length // 2 + 1
        if self.num_bins > bins:
            raise ValueError(f"F is {self.num_bins}; a frame_length of {self.frame_length} has {bins} bins. Lower F.")
        params = self.model.params
        bins_step = getattr(params, "downsampling", 1)
        frames_step = getattr(params, "frames_multiple", bins_step)
        for key, value, step in (("T", self.segment_frames, frames_step), ("F", self.num_bins, bins_step)):
            if value % step:
                nearest = max(step, value // step * step)
                raise ValueError(f"{key} is {value}; {self.model.type} needs a multiple of {step}. Try {nearest}.")
        return self

    @model_validator(mode="after")
    def _segment_fits_into_memory(self) -> Self:
        values = max(self.frame_length, self.num_bins * self.segment_frames) * self.num_channels
        if values > _MOST_VALUES:
            raise ValueError(
                f"T is {self.segment_frames}; segments of so many frames of F = {self.num_bins} bins in "
                f"{self.num_channels} channel(s) have {values} values, and {_MOST_VALUES} are the most. Lower T or F."
            )
        return self

    @model_validator(mode="after")
    def _keys_are_of_the_networks_domain(self) -> Self:
        is_complex = self.model.domain == "complex"
        # Spleeter's STFT may be said to be Spleeter's; a complex network has no masks at all.
        given = [
            field
            for field in self.foreign_keys
            if field in self.model_fields_set
            and (is_complex or getattr(self, field) != type(self).model_fields[field].default)
        ]
        if given:
            key = type(self).model_fields[given[0]].alias or given[0]
            reason = (
                "gives the stems' own spectra, without masks"
                if is_complex
                else "estimates magnitudes, on Spleeter's STFT"
            )
            raise ValueError(f"{key} is set; {self.model.type} {reason}. Leave it out.")
        params = self.model.params
        if isinstance(params, SCNetParams) and params.dims[0] != 2 * self.num_channels:
            raise ValueError(
                f"dims starts with {params.dims[0]}; with n_channels = {self.num_channels} it starts with "
                f"{2 * self.num_channels}, a real and an imaginary part for each channel."
            )
        return self

    @property
    def foreign_keys(self) -> tuple[str, ...]:
        """Names of the fields that mean nothing for the network's domain."""
        return _OF_MAGNITUDES if self.model.domain == "complex" else _OF_COMPLEX

    @property
    def default_overlap(self) -> float:
        """Share of a segment by which neighbors overlap unless another is asked for; Spleeter's do not."""
        return _COMPLEX_OVERLAP if self.model.domain == "complex" else 0.0

    @property
    def bandwidth_hz(self) -> float:
        """Frequency in Hz up to which the network sees the spectrogram."""
        return self.num_bins * self.sample_rate / self.frame_length
