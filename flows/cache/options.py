"""The options of flows.cache."""

import sys
from typing import ClassVar, Self

from pydantic import model_validator

from flows.cache.estimate import say_what_it_takes
from flows.support.inputs import check_ffmpeg, check_manifests
from flows.support.options import DataDir, Flag, OfConfig
from flows.support.runners import OnRunner, check_scheduler
from sepcore import load_config


class Options(OfConfig, OnRunner):
    """The CSVs that a config names to shards of cached spectrograms."""

    uses_prefect: ClassVar[bool] = True

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
            raise ValueError("--keep-for is for --prune; add it, or leave --keep-for out")
        if self.dry_run and self.verify:
            raise ValueError("--dry-run changes nothing, --verify mends; leave one of them out")
        return self

    def check(self) -> None:
        """Refuse what can be seen in the manifests' headers; with ``dry_run`` say what it takes, and end."""
        check_ffmpeg()
        for config in (self.config(), *map(load_config, self.keep_for)):
            check_manifests(config)
        check_scheduler(self.scheduler)
        if self.dry_run:
            prune_for = list(map(load_config, self.keep_for)) if self.prune else None
            say_what_it_takes(self.config(), self.data_dir, self.workers, prune_for=prune_for)
            sys.exit()
