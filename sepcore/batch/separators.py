"""One loaded separator a process, whichever of its threads asks for it."""

from functools import lru_cache
from threading import Lock

from sepcore.separator import Separator
from sepcore.separator_settings import SeparatorSettings

_one_at_a_time = Lock()


def shared_separator(settings: SeparatorSettings) -> Separator:
    """The separator of some settings, with its network loaded once; the one of other settings is let go."""
    with _one_at_a_time:
        return _separator(settings)


@lru_cache(maxsize=1)
def _separator(settings: SeparatorSettings) -> Separator:
    return Separator.of(settings)
