"""Whether an output folder can be written to, found out before any work starts."""

from pathlib import Path

from sepcore.atomic import check_writes
from sepcore.errors import ConfigError


def check_writable(folder: Path, option: str) -> None:
    """Make ``folder`` if need be and write to it once.

    Args:
        folder: Where output shall go.
        option: The option that names it, for the message.

    Raises:
        ConfigError: if it cannot be made, or no file can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_writes(folder)
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be written to ({error.strerror}); choose another folder with {option}."
        ) from error
