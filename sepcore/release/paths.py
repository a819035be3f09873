"""Which keys of a config are paths: they lead nowhere on another machine, and somebody else's lead astray."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sepcore.config.load import model_name, parse_config
from sepcore.config.model_config import ModelConfig

PATH_KEYS = (
    *("train_csv", "validation_csv", "test_csv", "training_cache", "validation_cache"),
    *("model_dir", "init_from"),
)


def without_paths(config: ModelConfig) -> ModelConfig:
    """A config that names no path: what a release may have in it of another machine."""
    return _changed(config, {})


def released_config(config: ModelConfig, name: str) -> str:
    """The JSON of a config as a release has it: found by the model's name, and started from a model by its name."""
    start = {} if config.init_from is None else {"init_from": model_name(config.init_from)}
    content = {key: value for key, value in json.loads(config.to_json()).items() if key not in PATH_KEYS}
    return json.dumps({**content, **start, "model_dir": name}, indent=2, ensure_ascii=False) + "\n"


def config_to_train_again(
    config: ModelConfig, manifests: Mapping[str, Path | str], *, init_from: str | None, caches: Path | None
) -> ModelConfig:
    """The config of a training that is done again: it writes into no folder that the config names.

    Args:
        config: Of the training.
        manifests: Paths of the CSVs by their keys.
        init_from: Model whose weights it starts from.
        caches: Folder for the shards; None: those of the config, which is this machine's own.
    """
    paths: dict[str, Any] = {key: str(path) for key, path in manifests.items()}
    parts = ("training_cache", "validation_cache")
    paths |= {part: str((caches / part).absolute()) if caches else getattr(config, part) for part in parts}
    return _changed(config, paths | ({"init_from": init_from} if init_from is not None else {}))


def _changed(config: ModelConfig, paths: Mapping[str, Any]) -> ModelConfig:
    content = {key: value for key, value in json.loads(config.to_json()).items() if key not in PATH_KEYS}
    return parse_config(json.dumps(content | dict(paths)), "the recorded config")
