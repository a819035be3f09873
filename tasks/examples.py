"""What validation songs score, sound and look like while a network is trained: in the run folder and in MLflow."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sepcore.config import ModelConfig
from sepcore.errors import StemworksError
from sepcore.evaluation.example_files import write_estimates, write_targets
from sepcore.evaluation.validation_songs import ScoredSong, ValidationSongs, validation_sdr
from tasks.tracking import TrackedRun

_logger = logging.getLogger(__name__)


class ValidationExamples:
    """Scores the validation songs of a training and keeps an excerpt of each: ``examples/<song>/step-<step>/``.

    Mixture and targets, which do not change, are written once for all, into the song's folder.
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
                # Nobody trains for the sake of an example.
                _logger.warning("%s: no example of step %d (%s)", song.name, step, error)
        return validation_sdr(scored)

    def _keep(self, song: ScoredSong, step: int) -> None:
        folder = self._tracking.run.examples / song.name
        if not list(folder.glob("mixture.*")):  # written last
            self._log(write_targets(song, folder, self._config))
        self._log(write_estimates(song, folder / f"step-{step:06d}", self._config))

    def _log(self, files: list[Path]) -> None:
        for file in files:
            self._tracking.log_file(file, str(file.parent.relative_to(self._tracking.run.path)))
