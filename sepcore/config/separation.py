"""The keys of a model's JSON that say what is separated, on which spectrograms, by which network."""

import json
from pathlib import PurePosixPath
from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from sepcore.config.network import NetworkConfig, StrictModel
from sepcore.system.foreign import is_name
from sepcore.system.printable import is_printable

_MOST_STEMS = 100
# A segment of Spleeter's has 2^20 values; a network takes many times the memory of one.
_MOST_VALUES = 2**27
_MOST_HZ = 768_000


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
    """Separate by multichannel Wiener filtering instead of ratio masks."""
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
        step = getattr(self.model.params, "downsampling", 1)
        for key, value in (("T", self.segment_frames), ("F", self.num_bins)):
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

    @property
    def bandwidth_hz(self) -> float:
        """Frequency in Hz up to which the network sees the spectrogram."""
        return self.num_bins * self.sample_rate / self.frame_length
