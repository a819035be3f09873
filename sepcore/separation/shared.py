"""One loaded separator per process, shared by its threads."""

import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from socket import gethostname
from threading import Lock
from typing import Self

from sepcore.errors import CheckpointError
from sepcore.separation.separator import Separator
from sepcore.separation.settings import SeparatorSettings, for_model, located_model

_logger = logging.getLogger(__name__)
_one_at_a_time = Lock()


@dataclass(frozen=True)
class PlannedModel:
    """The model that a batch was planned with; small, so that it can be sent to another process."""

    fingerprint: str
    """From `Separator.fingerprint`."""
    folder: Path
    """Where its weights were."""
    host: str

    @classmethod
    def of(cls, separator: Separator) -> Self:
        """The model of a separator of this process."""
        return cls(separator.fingerprint(), separator.folder, gethostname())


def planned_separator(settings: SeparatorSettings, planned: PlannedModel) -> Separator:
    """The `shared_separator` for a planned batch, in a process that may find another model under the same name.

    Raises:
        CheckpointError: it does find another one. In the planner's own folder the model may have been replaced.
    """
    separator = shared_separator(settings)
    here = PlannedModel.of(separator)
    if here.fingerprint != planned.fingerprint and (here.folder, here.host) != (planned.folder, planned.host):
        raise CheckpointError(
            f"{separator.name}: the model in {here.folder} on {here.host} is not the one in {planned.folder} on "
            f"{planned.host}, with which the batch was planned",
            hint="Set MODEL_PATH to the same model on both.",
        )
    return separator


def shared_separator(settings: SeparatorSettings) -> Separator:
    """The separator with these settings, whose network is loaded once; one with other settings is dropped.

    A separator whose model has since been replaced on the disk is dropped, too: watched folders and cluster workers
    outlive many training runs and downloads. Call this before each song to get the current model.
    """
    with _one_at_a_time:
        # So that a worker that is handed the separator's own settings finds it here.
        if settings.precision == "auto" or settings.overlap is None:
            settings = for_model(settings, located_model(settings).config)
        separator = _separator(settings)
        if separator.is_outdated():
            _logger.warning("%s: the model has been replaced; the new one separates from here on", separator.name)
            _separator.cache_clear()
            separator = _separator(settings)
        return separator


@lru_cache(maxsize=1)
def _separator(settings: SeparatorSettings) -> Separator:
    return Separator.of(settings)
