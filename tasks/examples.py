"""Scores and excerpts of validation songs during a training: in the run folder and in MLflow."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sepcore.config.model_config import ModelConfig
from sepcore.errors import StemworksError
from sepcore.evaluation.validation_songs import (
    ScoredSong,
    ValidationSongs,
    validation_sdr,
    write_estimates,
    write_targets,
)
from sepcore.system.os_errors import reason_of
from sepcore.system.ownership import is_real_folder
from sepcore.system.printable import first_few
from tasks.tracking.run import TrackedRun

# The excerpts of the first, the best and this many last validations are kept.
_LAST_KEPT = 3

_logger = logging.getLogger(__name__)


class ValidationExamples:
    """Scores the validation songs of a training and keeps an excerpt of each: ``examples/<song>/step-<step>/``.

    Mixture and targets, which do not change, are written once for all, into the song's folder. See `keep_few`.
    """

    def __init__(self, songs: ValidationSongs, config: ModelConfig, tracking: TrackedRun) -> None:
        self._songs, self._config, self._tracking = songs, config, tracking

    def __call__(self, network: Any, step: int) -> Mapping[str, float]:
        """The SDR of the songs, as `validation_sdr` names it."""
        scored = self._songs.score(network)
        for song in scored:
            try:
                self._keep(song, step)
            except (StemworksError, OSError) as error:
                # An example is no reason to end a training.
                _logger.warning("%s: no example of step %d (%s)", song.name, step, error)
        return validation_sdr(scored)

    def why_unscored(self) -> str:
        """Why the last validation had no SDR: a song and its reason, and how many more there are."""
        reasons = [f"{song}: {reason}" for song, reason in self._songs.unscored.items()]
        return first_few(reasons, 1) if reasons else "none of them is cached"

    def keep_few(self, best_step: int | None) -> None:
        """Remove all excerpts, here and in MLflow, but those of the first, the best and the last few validations."""
        root = self._tracking.run.examples
        try:
            # Only folders with names of our own: anything else is somebody else's, such as a file manager's.
            own = [folder for folder in root.glob("*/step-*") if _step_of(folder) and is_real_folder(folder)]
            for song in sorted({folder.parent for folder in own if is_real_folder(folder.parent)}):
                self._keep_few_of(sorted((step for step in own if step.parent == song), key=_step_of), best_step)
        except OSError as error:
            # Nor is some disk space.
            _logger.warning("%s: excerpts of earlier validations cannot be removed (%s)", root, reason_of(error))

    def _keep_few_of(self, steps: list[Path], best_step: int | None) -> None:
        kept = {*steps[:1], *steps[-_LAST_KEPT:], *(step for step in steps if _step_of(step) == best_step)}
        for folder in steps:
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)
                self._tracking.remove_folder(folder.relative_to(self._tracking.run.path).as_posix())

    def _keep(self, song: ScoredSong, step: int) -> None:
        folder = self._tracking.run.examples / song.name
        if not list(folder.glob("mixture.*")):  # written last
            self._log(write_targets(song, folder, self._config))
        self._log(write_estimates(song, folder / _folder_name(step), self._config))

    def _log(self, files: list[Path]) -> None:
        for file in files:
            self._tracking.log_file(file, str(file.parent.relative_to(self._tracking.run.path)))


def _folder_name(step: int) -> str:
    return f"step-{step:06d}"


def _step_of(folder: Path) -> int:
    """The step of an excerpt's folder; 0 of anything else."""
    number = folder.name.removeprefix("step-")
    return int(number) if number.isdecimal() and folder.name == _folder_name(int(number)) else 0
