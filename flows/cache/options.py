"""The options of flows.cache."""

import sys
from typing import Self

from pydantic import model_validator

from flows.support.extras import PIPELINE
from flows.support.inputs import check_ffmpeg, check_manifests
from flows.support.options import DataDir, Flag, OfConfig
from flows.support.runners import OnRunner
from sepcore.config.load import load_config
from sepcore.config.model_config import ModelConfig


class Options(OfConfig, OnRunner):
    """The CSVs that a config names to shards of cached spectrograms or waveforms."""

    needs = PIPELINE

    data_dir: DataDir = None
    dry_run: Flag = False
    """Only say how many songs, gigabytes and minutes it would take, and what --prune would remove."""
    verify: Flag = False
    """Read every chunk that is there; cache songs with a damaged one again."""
    prune: Flag = False
    """At the end remove the shards that the config does not need."""
    keep_for: tuple[str, ...] = ()
    """With --prune: another config that caches in the same folders (may be given more than once)."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.keep_for and not self.prune:
            raise ValueError("--keep-for is for --prune. Add it, or leave --keep-for out.")
        if self.dry_run and self.verify:
            raise ValueError("--dry-run changes nothing, --verify repairs. Leave one of them out.")
        return self

    def prune_for(self) -> tuple[ModelConfig, ...] | None:
        """The other configs whose shards stay; None if none are removed."""
        return tuple(map(load_config, self.keep_for)) if self.prune else None

    def check(self) -> None:
        """Refuse what can be seen in the manifests' headers; with ``dry_run`` print an estimate, and end."""
        check_ffmpeg()
        for config in (self.config(), *map(load_config, self.keep_for)):
            check_manifests(config)
        self.check_scheduler()
        if self.dry_run:
            from flows.cache.estimate import print_estimate  # imports SciPy

            print_estimate(self.config(), self.data_dir, self.workers, prune_for=self.prune_for())
            sys.exit()
