"""The options of flows.ingest."""

from pathlib import Path
from typing import Self

from pydantic import model_validator

from flows.support.extras import PIPELINE
from flows.support.inputs import MUSDB_OF_ENVIRONMENT, check_ffmpeg, musdb_of
from flows.support.options import Flag, Model, OfConfig, Share
from flows.support.runners import OnRunner
from sepcore.dataset.ingest.manifests import claim_manifests
from sepcore.dataset.ingest.plan import SplitScheme, plan_ingest
from sepcore.dataset.ingest.songs import LAYOUTS, find_dataset
from sepcore.system.atomic import check_writable

FRACTION = 0.1


class Options(OfConfig, OnRunner):
    """MUSDB18, a set in its layout, or any folder of multitrack songs to train.csv, validation.csv and test.csv.

    Audio is decoded and resampled once; files that have the config's rate and channels are used where they lie. A song
    that cannot be decoded or lacks an instrument is left out and named: the manifests list the others, left_out.csv
    says why, and the exit code is 1. Fix them and run it again; finished songs are kept.
    """

    needs = PIPELINE

    musdb_root: Path | None = None
    """MUSDB18 (.stem.mp4) or MUSDB18-HQ (wav folders); a mus.yaml in it is musdb's setup (default: MUSDB_PATH)."""
    stems_root: Path | None = None
    """Any other set: DIR/<song>/<instrument>.wav (flac, mp3, …), or DIR/train|validation|test/<song>/…; the mixture is
    called mixture or mix, and made from the stems where it is missing; the config's instrument_mapping, as
    {"other": ["piano", "guitar"]}, says which recordings make up an instrument."""
    layout: str = "folders"
    """How --stems-root is laid out, as said there."""
    out: Path
    """Folder of the CSVs and decoded audio."""
    params: Model = "musdb"
    split: SplitScheme | None = None
    """musdb's or the set's own, a fraction of the songs, or whole artists (what stands before ' - ' in a song's name);
    the set's own test songs stay test songs (default: its own, or fraction where it has none)."""
    validation_fraction: Share = FRACTION
    """Share of the songs for validation by --split fraction or artist."""
    test_fraction: Share = FRACTION
    """Share of the songs for test by --split fraction or artist, where the set has no test songs."""
    overwrite: Flag = False
    """Replace CSVs in --out that ingest did not write or somebody edited since."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        given = self.model_fields_set
        if self.stems_root is None:
            if self.musdb() is None:
                raise ValueError(
                    "--musdb-root is missing. Give the folder of MUSDB18, or set MUSDB_PATH; --stems-root is for any "
                    "other set."
                )
            if "layout" in given:
                raise ValueError("--layout is for --stems-root. Leave it out; MUSDB has its own.")
        elif self.musdb_root is not None:
            raise ValueError("--musdb-root and --stems-root are both given. Ingest one set at a time.")
        elif self.split == "musdb":
            raise ValueError("--split musdb is for --musdb-root. Give own, fraction or artist for --stems-root.")
        if self.layout not in LAYOUTS:
            raise ValueError(f"--layout is {self.layout}. Give one of {', '.join(LAYOUTS)}.")
        for name in ("validation_fraction", "test_fraction"):
            if name in given and self.split not in ("fraction", "artist"):
                flag = f"--{name.replace('_', '-')}"
                raise ValueError(f"{flag} is for --split fraction or artist. Add one of them, or leave {flag} out.")
        return self

    def musdb(self) -> Path | None:
        """The MUSDB set that is meant, if it is one."""
        return musdb_of(self.musdb_root or MUSDB_OF_ENVIRONMENT, instead=self.stems_root)

    def check(self) -> None:
        """Refuse everything that can be seen without opening a recording."""
        check_ffmpeg()
        config = self.config()
        plan = plan_ingest(
            find_dataset(self.musdb(), self.stems_root, self.layout),
            config,
            split=self.split,
            validation_fraction=self.validation_fraction,
            test_fraction=self.test_fraction,
        )
        check_writable(self.out, "--out")
        if not self.overwrite:
            claim_manifests(self.out, plan, config)
        self.check_scheduler()
