"""The options of flows.augment."""

import sys
from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from flows.support.extras import PIPELINE
from flows.support.inputs import check_ffmpeg, check_trainable
from flows.support.options import DataDir, Flag, OfConfig
from flows.support.runners import OnRunner
from flows.support.terminal import say
from sepcore.dataset.augment.findings import estimate_line
from sepcore.dataset.augment.manifest import claim_manifest, training_manifest
from sepcore.dataset.augment.selection import held_out_mixtures
from sepcore.dataset.augment.stretch import choose_method
from sepcore.dataset.augment.variants import Variant, variants_of
from sepcore.dataset.manifest import check_columns, scan_manifest
from sepcore.system.atomic import check_writable


class Options(OfConfig, OnRunner):
    """Training songs at other pitches and tempos, as further recordings beside the originals.

    Each song gets a variant for every --pitch and --tempo: its stems and their sum, in 24-bit FLAC files. DIR/train.csv
    lists the recorded songs and all variants; name it as the config's train_csv, and cache as before. Songs that the
    check leaves out, and those of validation_csv and test_csv, are left out and named, and the exit code is 1. Run it
    again to resume; finished variants are kept.
    """

    needs = PIPELINE

    out: Path
    """Folder of the new train.csv and of the variants' audio."""
    pitch: tuple[float, ...] = ()
    """Semitones to shift the pitch by, -12 to 12, at the same tempo (may be given more than once)."""
    tempo: tuple[float, ...] = ()
    """Factor of the speed, 0.5 to 2, at the same pitch: 1.1 is a tenth faster (may be given more than once)."""
    method: Literal["auto", "rubberband", "resample"] = "auto"
    """Rubber Band in ffmpeg, or a resampling that changes pitch and tempo together, as a tape does (auto: the first if
    this ffmpeg has it)."""
    train_csv: Path | None = None
    """Manifest of the songs, instead of the config's train_csv."""
    data_dir: DataDir = None
    dry_run: Flag = False
    """Only say how many songs and gigabytes it would be at most."""

    @model_validator(mode="after")
    def _vary_something(self) -> Self:
        self.variants()
        return self

    def variants(self) -> tuple[Variant, ...]:
        """What is made of each song."""
        return variants_of(self.pitch, self.tempo)

    def check(self) -> None:
        """Refuse what can be seen in the manifest's header; with ``dry_run`` print an estimate, and end."""
        check_ffmpeg()
        config = self.config()
        source = training_manifest(config, self.train_csv, self.out)
        check_trainable(config)
        check_columns(source, config)
        held_out_mixtures(config, self.data_dir)
        method = choose_method(self.method, self.variants())
        if self.dry_run:
            rows = [row for _, row in scan_manifest(source, config, data_dir=self.data_dir).rows]
            say([estimate_line(rows, config, self.variants(), method)])
            sys.exit()
        check_writable(self.out, "--out")
        claim_manifest(self.out)
        self.check_scheduler()
