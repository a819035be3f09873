"""Every key of a model's JSON, with Spleeter's keys, defaults and meaning, validated once at load."""

import hashlib
import json
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from sepcore.config.dataset import DatasetKeys
from sepcore.config.network import BLSTMParams, SCNetParams
from sepcore.config.training import TrainingKeys


class ModelConfig(TrainingKeys, DatasetKeys):
    """One model: what it separates, its spectrograms, its network, its data and its training.

    Lengths are in samples or STFT frames unless the name ends in ``_s`` (seconds). Field names are the code's; the
    aliases are the keys of the JSON. Relative ``*_csv`` and ``*_cache`` paths are taken from the working directory,
    as by Spleeter.
    """

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
    def _given_chunk_holds_a_segment(self) -> Self:
        # Spleeter separates with any T and refuses only to train: so does a config that leaves the default chunk.
        if "chunk_duration_s" in self.model_fields_set:
            self.check_trainable()
        return self

    @model_validator(mode="after")
    def _network_has_what_is_switched_on(self) -> Self:
        if isinstance(self.model.params, BLSTMParams | SCNetParams) and (self.batch_statistics or self.dropout):
            key = "dropout" if self.dropout else "batch_statistics"
            raise ValueError(f"{key} is set; {self.model.type} has no such layers. Leave it out, or take a U-Net.")
        return self

    def check_trainable(self) -> None:
        """Raise ValueError if a cached chunk would be shorter than the frames of one segment."""
        if self.chunk_duration_s * self.sample_rate < self.trainable_samples:
            needed = self.trainable_samples / self.sample_rate
            raise ValueError(
                f"chunk_duration is {self.chunk_duration_s:g} s; T = {self.segment_frames} frames need {needed:.2f} s. "
                "Raise chunk_duration or lower T."
            )

    @property
    def chunk_samples(self) -> int:
        """Samples of a cached chunk."""
        return int(self.chunk_duration_s * self.sample_rate)

    @property
    def trainable_samples(self) -> int:
        """The fewest samples of a cached chunk that a segment can be trained from."""
        return self.segment_frames * self.hop_length + self.frame_length

    @property
    def segment_samples(self) -> int:
        """Samples that the STFT frames of one segment span."""
        return (self.segment_frames - 1) * self.hop_length + self.frame_length

    @property
    def chunk_frames(self) -> int:
        """STFT frames of a cached chunk: no padding at its ends, as in Spleeter's training."""
        return 1 + (self.chunk_samples - self.frame_length) // self.hop_length

    def to_json(self) -> str:
        """All keys that mean something, under their JSON names; `load_config` of it gives an equal config."""
        left_out = set(self.foreign_keys)
        if "chunk_duration_s" not in self.model_fields_set:
            left_out.add("chunk_duration_s")  # a chunk that is given must hold a segment, the default one need not
        return self.model_dump_json(by_alias=True, indent=2, exclude_none=True, exclude=left_out)

    def fingerprint(self) -> str:
        """Twelve hex digits of what decides the weights; see `deciding_keys`."""
        return hashlib.sha256(json.dumps(self.deciding_keys(), sort_keys=True).encode()).hexdigest()[:12]

    def deciding_keys(self) -> dict[str, Any]:
        """What decides the weights, under the keys of the JSON, defaults left out.

        Not paths, the length of the training, logging or masks. (A cosine's form depends on
        the length, a choice by SDR on the songs that are scored.) Nor `init_from`, which names the weights to start
        from and does not say what they are.
        """
        elsewhere = {
            "model_dir", "init_from", "train_csv", "validation_csv", "test_csv", "training_cache", "validation_cache",
            "cache_format", "instrument_mapping", "save_checkpoints_steps", "save_summary_steps", "throttle_secs",
            "separation_exponent", "mask_extension", "mwf", "gpu_memory_mb",
        }  # fmt: skip
        if self.schedule != "cosine":
            elsewhere.add("train_max_steps")
        if self.model_choice != "validation_sdr":
            elsewhere |= {"validation_songs", "mixture_consistency"}
        return self.model_dump(mode="json", by_alias=True, exclude=elsewhere, exclude_defaults=True)


def config_folder() -> Path:
    """The folder of the JSON files that the project ships: a link to `conf/` in a checkout, a copy in a wheel."""
    return Path(__file__).resolve().parents[1] / "conf"
