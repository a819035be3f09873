"""One loaded separator a process, whichever of its threads asks for it."""

import logging
from functools import lru_cache
from threading import Lock

from sepcore.separator import Separator
from sepcore.separator_settings import SeparatorSettings

_logger = logging.getLogger(__name__)
_one_at_a_time = Lock()


def shared_separator(settings: SeparatorSettings) -> Separator:
    """The separator of some settings, with its network loaded once; the one of other settings is let go.

    So is one whose model has been replaced on the disk since: a watched folder, and the worker of a cluster, outlive
    many trainings and downloads. Asked for before each song, it is the model of now.
    """
    with _one_at_a_time:
        separator = _separator(settings)
        if separator.is_outdated():
            _logger.warning("%s: the model has been replaced; the new one separates from here on", separator.name)
            _separator.cache_clear()
            separator = _separator(settings)
        return separator


@lru_cache(maxsize=1)
def _separator(settings: SeparatorSettings) -> Separator:
    return Separator.of(settings)
