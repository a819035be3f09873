"""The options of flows.train."""

from pathlib import Path
from typing import Self

from pydantic import PositiveInt, model_validator

from flows.support.download import locate_with_bar
from flows.support.extras import PIPELINE
from flows.support.inputs import (
    MUSDB_OF_ENVIRONMENT,
    MUSDB_PATH,
    check_ffmpeg,
    check_manifests,
    check_musdb_folder,
    check_trainable,
    musdb_of,
    parts_to_cache,
)
from flows.support.options import DataDir, Flag, OfConfig, Releases, Version, WorkDir
from flows.support.runners import OnRunner
from sepcore.config.load import changed_config, model_name
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.manifest import load_manifest
from sepcore.errors import ConfigError
from sepcore.system.atomic import check_writable


class Options(OfConfig, OnRunner):
    """Train a model with all stages: ingest (if asked) → cache → train → evaluate (given a test set) → publish."""

    needs = PIPELINE

    data_dir: DataDir = None
    musdb_root: Path | None = None
    """Train on MUSDB18 or a set in its layout instead of the config's CSVs; $MUSDB_PATH: the one that this variable
    names, if it is set."""
    max_steps: PositiveInt | None = None
    """Instead of the config's train_max_steps."""
    init_from: str | None = None
    """Start from the weights of this model (what -p takes), e.g. 2stems; instruments missing there start from
    random weights."""
    fresh: Flag = False
    """Start a new run next to the existing one, which is kept."""
    force: Flag = False
    """Resume the unfinished run even if the config or the songs have changed since."""
    version: Version | None = None
    """Publish the model as this version, e.g. 1.0.0."""
    work_dir: WorkDir = Path("runs")
    releases: Releases = Path("releases")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.fresh and self.force:
            raise ValueError("--fresh starts a new run, --force resumes the old one. Leave one of them out.")
        if self.musdb_root not in (None, MUSDB_OF_ENVIRONMENT) and self.data_dir is not None:
            raise ValueError("-d is for the config's CSVs. Leave it out with --musdb-root.")
        return self

    def config(self) -> ModelConfig:
        """The model's config, changed by the options."""
        given = {"train_max_steps": self.max_steps, "init_from": self.init_from}
        changes = {key: value for key, value in given.items() if value is not None}
        return changed_config(super().config(), changes, self.params)

    def check(self) -> None:
        """Refuse what would otherwise fail after the caching, or never be noticed."""
        from sepcore.training.initial_weights import check_initial_model  # these import NumPy
        from sepcore.training.run_choice import check_unchanged

        check_ffmpeg()
        config = self.config()
        check_unchanged(self.work_dir, model_name(self.params), config, fresh=self.fresh, force=self.force)
        if config.init_from is not None:
            check_initial_model(locate_with_bar(config.init_from).config, config, config.init_from)
        musdb = musdb_of(self.musdb_root, instead=self.data_dir)
        if musdb is not None:
            check_trainable(config)
            check_musdb_folder(musdb, "train")
        else:
            missing = [part.csv for part in parts_to_cache(config) if not part.csv.is_file()]
            if missing and self.musdb_root is not None:
                raise ConfigError(
                    f"nothing to train on: {MUSDB_PATH} is not set, and {missing[0]}, which the config {self.params} "
                    "names, does not exist",
                    hint=f"Set {MUSDB_PATH} where flows.serve is started, or give --param musdb_root=DIR, or --param "
                    "params=CONFIG.json with a config whose CSVs exist.",
                )
            check_manifests(config)
            if config.test_csv:
                load_manifest(Path(config.test_csv), config, data_dir=self.data_dir)
        check_writable(self.work_dir, "--work-dir")
        self.check_scheduler()
