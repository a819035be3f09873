"""One loaded separator a process, whichever of its threads asks for it."""

from functools import lru_cache
from threading import Lock

from sepcore.separator import Separator
from sepcore.separator_settings import SeparatorSettings

_one_at_a_time = Lock()


def shared_separator(settings: SeparatorSettings) -> Separator:
    """The separator of some settings, with its network loaded once; the one of other settings is let go.

    So is one whose weights have been replaced since: the worker of a cluster outlives many trainings of a run.
    """
    with _one_at_a_time:
        separator, fingerprint = _separator(settings)
        if separator.fingerprint() != fingerprint:
            _separator.cache_clear()
            separator, _ = _separator(settings)
        return separator


@lru_cache(maxsize=1)
def _separator(settings: SeparatorSettings) -> tuple[Separator, str]:
    separator = Separator.of(settings)
    return separator, separator.fingerprint()
