"""Every key of a model's JSON, with Spleeter's keys, defaults and meaning, validated once at load."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from sepcore.config_network import NetworkConfig, StrictModel


class AugmentationConfig(StrictModel):
    """The ``augmentation`` key: how training examples are varied. All off by default, as in Spleeter."""

    gain_db: NonNegativeFloat = 0.0
    """Each stem's level is changed by up to so many dB."""
    channel_swap: bool = False
    """Half of the examples have their channels in reverse order."""
    remix: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the examples whose stems come from different songs. Their mixture is made of magnitudes, as the root of
    the sum of the stems' squares: right on average over phases, but without the interference of a real mixture."""
    pitch_shift: Annotated[float, Field(ge=0, le=12)] = 0.0
    """Pitch is shifted by up to so many semitones (Spleeter's own: 1)."""
    time_stretch: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Tempo is changed by up to this share (Spleeter's own: 0.1)."""


class ModelConfig(StrictModel):
    """One model: what it separates, its spectrograms, its network, its data and its training.

    Lengths are in samples or STFT frames unless the name ends in ``_s`` (seconds). Field names are the code's; the
    aliases are the keys of the JSON. Relative ``*_csv`` and ``*_cache`` paths are taken from the working directory,
    as by Spleeter.
    """

    mix_name: str = "mix"
    """Name of the mixture's column in the CSVs (``<mix_name>_path``)."""
    instruments: tuple[str, ...] = Field(("vocals", "accompaniment"), alias="instrument_list", min_length=1)
    """The stems, in the order of the network's outputs."""
    sample_rate: PositiveInt = 44100
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
    chunks_per_song: PositiveInt = Field(2, alias="n_chunks_per_song")
    """Chunks cached of each training song, spread evenly over it."""
    chunk_duration_s: PositiveFloat = Field(20.0, alias="chunk_duration")
    """Length of a cached chunk in seconds."""
    separation_exponent: PositiveFloat = 2.0
    """Power of the estimates in the ratio masks: 1 amplitude, 2 Wiener-like."""
    mask_extension: Literal["zeros", "average"] = "zeros"
    """Masks above bin `F`: silence, or the frame's mean over the bins below."""
    mwf: bool = Field(False, alias="MWF")
    """Separate by multichannel Wiener filtering instead of ratio masks."""
    model: NetworkConfig = Field(default_factory=lambda: NetworkConfig.model_validate({}))
    """The network: `type` and `params`."""
    model_dir: str | None = None
    """Folder of the model's checkpoint, relative to `MODEL_PATH`."""
    train_csv: str | None = None
    """Manifest of the training songs."""
    validation_csv: str | None = None
    """Manifest of the validation songs."""
    test_csv: str | None = None
    """Manifest of the test songs (a key of this project's own)."""
    training_cache: str = "training_cache"
    """Folder of the training shards."""
    validation_cache: str = "validation_cache"
    """Folder of the validation shards."""
    cache_format: Literal["tfrecord", "parquet"] = "tfrecord"
    """Form of the shards: TFRecord, or Parquet (zstd), which pandas, Dask and Spark read (own key)."""
    cache_dtype: Literal["uint8", "float16"] = "uint8"
    """How magnitudes are cached: a byte on Spleeter's scale of 100 dB, or twice that without its rounding (own key)."""
    instrument_mapping: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Recordings that ingest adds up to an instrument, as `{"other": ["piano", "guitar"]}` (own key)."""
    augmentation: AugmentationConfig = Field(default_factory=AugmentationConfig)
    """How training examples are varied; all off by default, as in Spleeter (own key)."""
    optimizer: Literal["Adam", "Adadelta", "SGD"] = "Adam"
    """Optimizer, with TensorFlow 1's constants."""
    learning_rate: PositiveFloat = 1e-4
    """Learning rate of Adam and SGD; Adadelta keeps TensorFlow 1's 0.001, as in Spleeter."""
    loss_type: Literal["L1_mask", "weighted_L1_mask"] = "L1_mask"
    """Mean absolute error of the magnitudes, plain or weighted by each example's mean target."""
    batch_size: PositiveInt = 4
    """Segments in a training step."""
    random_seed: NonNegativeInt = 0
    """Seed of every random choice."""
    train_max_steps: PositiveInt = 100_000
    """Training ends after so many steps."""
    save_checkpoints_steps: PositiveInt = 300
    """A checkpoint is written every so many steps."""
    save_summary_steps: PositiveInt = 5
    """Losses are logged every so many steps."""
    throttle_secs: PositiveFloat = 600
    """No validation sooner than so many seconds after the last one."""

    @field_validator("instruments")
    @classmethod
    def _instruments_are_listed_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in value if value.count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]!r} is listed twice; name every instrument once.")
        unusable = [name for name in value if not name or "/" in name or "\\" in name or name in {".", ".."}]
        if unusable:
            raise ValueError(f"{unusable[0]!r} cannot be the name of a stem: it becomes a file name; use letters.")
        return value

    @field_validator("instrument_mapping")
    @classmethod
    def _mapping_names_recordings(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        faulty = [name for name, parts in value.items() if not parts or len(set(parts)) < len(parts)]
        if faulty:
            raise ValueError(
                f"{faulty[0]!r} is mapped to {list(value[faulty[0]])}; name one recording or more, each once."
            )
        return value

    @model_validator(mode="after")
    def _mapping_is_of_known_instruments(self) -> Self:
        unknown = [name for name in self.instrument_mapping if name not in self.instruments]
        if unknown:
            raise ValueError(
                f"instrument_mapping has {unknown[0]!r}, which instrument_list has not; "
                f"map one of {', '.join(self.instruments)}."
            )
        return self

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
    def _given_chunk_holds_a_segment(self) -> Self:
        # Spleeter separates with any T and refuses only to train: so does a config that leaves the default chunk.
        if "chunk_duration_s" in self.model_fields_set:
            self.check_trainable()
        return self

    @model_validator(mode="after")
    def _caches_differ(self) -> Self:
        if self.training_cache == self.validation_cache:
            raise ValueError(
                f"training_cache and validation_cache are both {self.training_cache!r}; give each a folder of its own."
            )
        return self

    def check_trainable(self) -> None:
        """Raise ValueError if a cached chunk would be shorter than the frames of one segment."""
        if (self.chunk_duration_s * self.sample_rate - self.frame_length) / self.hop_length < self.segment_frames:
            needed = (self.segment_frames * self.hop_length + self.frame_length) / self.sample_rate
            raise ValueError(
                f"chunk_duration is {self.chunk_duration_s:g} s; T = {self.segment_frames} frames need {needed:.2f} s. "
                "Raise chunk_duration or lower T."
            )

    @property
    def bandwidth_hz(self) -> float:
        """Frequency in Hz up to which the network sees the spectrogram."""
        return self.num_bins * self.sample_rate / self.frame_length

    @property
    def chunk_samples(self) -> int:
        """Samples of a cached chunk."""
        return int(self.chunk_duration_s * self.sample_rate)

    @property
    def chunk_frames(self) -> int:
        """STFT frames of a cached chunk: no padding at its ends, as in Spleeter's training."""
        return 1 + (self.chunk_samples - self.frame_length) // self.hop_length

    def to_json(self) -> str:
        """All keys under their JSON names; `load_config` of it gives an equal config."""
        return self.model_dump_json(by_alias=True, indent=2, exclude_none=True)

    def fingerprint(self) -> str:
        """Twelve hex digits of what decides the weights: not paths, lengths of training, logging or masks."""
        elsewhere = {
            "model_dir", "train_csv", "validation_csv", "test_csv", "training_cache", "validation_cache",
            "cache_format", "instrument_mapping", "train_max_steps", "save_checkpoints_steps", "save_summary_steps",
            "throttle_secs", "separation_exponent", "mask_extension", "mwf",
        }  # fmt: skip
        kept = self.model_dump(mode="json", exclude=elsewhere)
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


def config_folder() -> Path:
    """The folder of the JSON files that the project ships."""
    return Path(__file__).resolve().parents[1] / "conf"
