"""The keys of a model's JSON that say what it is trained on, and how that is cached and varied."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator

from sepcore.config.network import StrictModel
from sepcore.config.separation import SeparationKeys
from sepcore.system.urls import MOUNT_HINT, NO_PATH, is_url

# Why some keys of the augmentation are refused, by the content of the cache.
_NOT_AUGMENTED = {
    "spectrogram": "shards of spectrograms cannot be varied so. Set cache_content to waveform, or leave the key out.",
    "waveform": "shards of waveforms are not varied so. Leave the key out, and let flows.augment make such songs.",
}


class AugmentationConfig(StrictModel):
    """The ``augmentation`` key: how training examples are varied. All off by default, as in Spleeter."""

    gain_db: NonNegativeFloat = 0.0
    """Each stem's level is changed by up to so many dB."""
    channel_swap: bool = False
    """Half of the examples have their channels in reverse order; with waveforms, each stem of half of the examples."""
    remix: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the examples whose stems come from different songs. With waveforms their mixture is exact. With
    spectrograms it is the root of the sum of the stems' squares: right on average over phases, but without the
    interference of a real mixture."""
    pitch_shift: Annotated[float, Field(ge=0, le=12)] = 0.0
    """Pitch is shifted by up to so many semitones (Spleeter's own: 1). Only of spectrograms."""
    time_stretch: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Tempo is changed by up to this share (Spleeter's own: 0.1). Only of spectrograms."""
    polarity: bool = False
    """Each stem of half of the examples is turned over (times -1). Only of waveforms."""
    time_shift_s: NonNegativeFloat = 0.0
    """Stems are moved against each other by up to so many seconds, as far as their chunk allows, or with
    `n_chunks_per_song: "all"` their song; those of a remixed example have places of their own already. Only of
    waveforms."""
    activity: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the examples that are taken from where one of their stems sounds, with `remix` each stem from where it
    does: some second of it is at most 60 dB below its loudest one. Only of waveforms."""


class DatasetKeys(SeparationKeys):
    """Manifests, chunks and their caches. Relative paths are taken from the working directory, as by Spleeter."""

    train_csv: str | None = None
    """Manifest of the training songs."""
    validation_csv: str | None = None
    """Manifest of the validation songs."""
    test_csv: str | None = None
    """Manifest of the test songs (a key of this project's own)."""
    chunks_per_song: PositiveInt | Literal["all"] = Field(2, alias="n_chunks_per_song")
    """Chunks cached of each training song, spread evenly over it (of a validation song: one, in its middle). `"all"`
    (own value) covers all songs from end to end, those of validation too; of waveforms, examples start anywhere in a
    song."""
    chunk_duration_s: PositiveFloat = Field(20.0, alias="chunk_duration")
    """Length of a cached chunk in seconds."""
    training_cache: str = "training_cache"
    """Folder of the training shards."""
    validation_cache: str = "validation_cache"
    """Folder of the validation shards."""
    cache_format: Literal["tfrecord", "parquet"] = "tfrecord"
    """Form of the shards: TFRecord, or Parquet (zstd), which pandas, Dask and Spark read (own key)."""
    cache_content: Literal["spectrogram", "waveform"] = "spectrogram"
    """What is cached: magnitudes, as Spleeter does, or PCM (own key)."""
    cache_dtype: Literal["uint8", "float16", "int16", "int24"] = "uint8"
    """How magnitudes are cached (`uint8`, a byte on Spleeter's scale of 100 dB, or `float16`, twice that without its
    rounding) or waveforms (`int16`, their default, or `int24`; own key)."""
    instrument_mapping: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Recordings that ingest adds up to an instrument, as `{"other": ["piano", "guitar"]}` (own key)."""
    augmentation: AugmentationConfig = Field(default_factory=AugmentationConfig)
    """How training examples are varied; all off by default, as in Spleeter (own key)."""

    @field_validator("train_csv", "validation_csv", "test_csv", "training_cache", "validation_cache")
    @classmethod
    def _is_path(cls, value: str | None) -> str | None:
        if value is not None and is_url(value):
            raise ValueError(f"{value} {NO_PATH}. {MOUNT_HINT}")
        return value

    @field_validator("chunks_per_song", mode="before")
    @classmethod
    def _is_count_or_all(cls, value: Any) -> Any:
        # pydantic itself would name the members of the union, with an error for each.
        is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
        if not is_count and value != "all":
            raise ValueError(f'{json.dumps(value, default=str)} is no number of chunks. Give 1 or more, or "all".')
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
    def _content_is_of_the_networks_domain(self) -> Self:
        if self.model.domain == "complex":
            if "cache_content" not in self.model_fields_set:
                object.__setattr__(self, "cache_content", "waveform")  # the field's default is for magnitudes
            if self.cache_content != "waveform":
                raise ValueError(
                    f"cache_content is {self.cache_content}; {self.model.type} needs phases, which only waveforms "
                    "have. Leave it out, or set it to waveform."
                )
        return self

    @model_validator(mode="after")
    def _dtype_is_of_the_content(self) -> Self:
        if self.cache_content == "waveform" and "cache_dtype" not in self.model_fields_set:
            object.__setattr__(self, "cache_dtype", "int16")  # the field's default is for spectrograms
        allowed = {"spectrogram": ("uint8", "float16"), "waveform": ("int16", "int24")}
        if self.cache_dtype not in allowed[self.cache_content]:
            (other,) = allowed.keys() - {self.cache_content}
            raise ValueError(
                f"cache_dtype is {self.cache_dtype}; cache_content {self.cache_content} is cached as "
                f"{' or '.join(allowed[self.cache_content])}. Take one of them, or set cache_content to {other}."
            )
        return self

    @model_validator(mode="after")
    def _augmentation_is_of_the_content(self) -> Self:
        off = {"spectrogram": ("polarity", "time_shift_s", "activity"), "waveform": ("pitch_shift", "time_stretch")}
        for key in off[self.cache_content]:
            if value := getattr(self.augmentation, key):
                raise ValueError(f"augmentation.{key} is {json.dumps(value)}; {_NOT_AUGMENTED[self.cache_content]}")
        return self

    @model_validator(mode="after")
    def _caches_differ(self) -> Self:
        if self.training_cache == self.validation_cache:
            raise ValueError(
                f"training_cache and validation_cache are both {self.training_cache!r}; give each a folder of its own."
            )
        return self
