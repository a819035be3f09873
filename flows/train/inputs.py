"""Find and check what a training needs before any work starts: config, songs, manifests, initial weights."""

import os
from pathlib import Path

from flows.support.download import locate_with_bar
from flows.support.inputs import check_ffmpeg, check_manifests, check_musdb_folder, check_trainable, parts_to_cache
from flows.support.runners import check_scheduler
from sepcore.config.load import model_name
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.manifest import load_manifest
from sepcore.errors import ConfigError
from sepcore.system.atomic import check_writable
from sepcore.training.initial_weights import check_initial_model, initial_fingerprint
from sepcore.training.run_choice import check_unchanged

_MUSDB_PATH = "MUSDB_PATH"
MUSDB_OF_ENVIRONMENT = Path(f"${_MUSDB_PATH}")
"""Stands for the set that ``MUSDB_PATH`` names where a run starts, and for none where it is not set."""


def musdb_of(musdb_root: Path | None, *, instead: Path | None = None) -> Path | None:
    """The MUSDB set that is meant: as given, or that of the environment unless something else is given ``instead``."""
    if musdb_root != MUSDB_OF_ENVIRONMENT:
        return musdb_root
    named = os.environ.get(_MUSDB_PATH)
    return Path(named) if named and instead is None else None


def manifests_of_musdb(musdb_root: Path, name: str) -> Path:
    """Folder of the manifests of a MUSDB set for the model of this name."""
    return Path("data") / f"{musdb_root.resolve().name}-{name}"


def initial_weights(config: ModelConfig) -> str | None:
    """Fingerprint of the weights that the config's `init_from` names, which are fetched if need be; None without."""
    return None if config.init_from is None else initial_fingerprint(locate_with_bar(config.init_from))


def check_training(
    params: str,
    config: ModelConfig,
    *,
    musdb_root: Path | None,
    data_dir: Path | None,
    work_dir: Path,
    fresh: bool,
    force: bool,
    scheduler: str | None,
) -> None:
    """Refuse with one line what would otherwise fail after the caching, or never be noticed."""
    check_ffmpeg()
    check_unchanged(work_dir, model_name(params), config, fresh=fresh, force=force)
    if config.init_from is not None:
        check_initial_model(locate_with_bar(config.init_from).config, config, config.init_from)
    musdb = musdb_of(musdb_root, instead=data_dir)
    if musdb is not None:
        check_trainable(config)
        check_musdb_folder(musdb, "train")
    else:
        if musdb_root is not None:
            _check_manifests_exist(params, config)
        check_manifests(config)
        if config.test_csv:
            load_manifest(Path(config.test_csv), config, data_dir=data_dir)
    check_writable(work_dir, "--work-dir")
    check_scheduler(scheduler)


def _check_manifests_exist(params: str, config: ModelConfig) -> None:
    missing = [part.csv for part in parts_to_cache(config) if not part.csv.is_file()]
    if missing:
        raise ConfigError(
            f"nothing to train on: {_MUSDB_PATH} is not set, and {missing[0]}, which the config {params} names, does "
            "not exist",
            hint=f"Set {_MUSDB_PATH} where flows.serve is started, or give --param musdb_root=DIR, or --param "
            "params=CONFIG.json with a config whose CSVs exist.",
        )
