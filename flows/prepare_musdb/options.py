"""The options of flows.prepare_musdb."""

from pathlib import Path

from flows.support.extras import PIPELINE
from flows.support.inputs import MUSDB_OF_ENVIRONMENT, check_ffmpeg, check_musdb_folder, check_trainable, musdb_of
from flows.support.options import Model, OfConfig
from flows.support.runners import OnRunner
from sepcore.errors import ConfigError


class Options(OfConfig, OnRunner):
    """MUSDB18, or a set in its layout, all the way to shards that training reads: ingest, check, cache.

    flows.train --musdb-root then finds them done.
    """

    needs = PIPELINE

    params: Model = "musdb"
    musdb_root: Path = MUSDB_OF_ENVIRONMENT
    """MUSDB18 (.stem.mp4) or MUSDB18-HQ (wav folders)."""

    def musdb(self) -> Path:
        """The set that is meant, if it can be prepared for this config; ConfigError or DatasetError otherwise."""
        check_ffmpeg()
        check_trainable(self.config())
        musdb = musdb_of(self.musdb_root)
        if musdb is None:
            hint = "Set MUSDB_PATH, or give --musdb-root DIR (--param musdb_root=DIR)."
            raise ConfigError("no MUSDB set is given", hint=hint)
        check_musdb_folder(musdb, "train")
        return musdb

    def check(self) -> None:
        """Refuse a folder that is not a MUSDB set, and a cluster that does not answer."""
        self.musdb()
        self.check_scheduler()
