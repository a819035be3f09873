"""Whether an output folder can be written to, found out before any work starts."""

from pathlib import Path

from sepcore.errors import ConfigError
from sepcore.system.atomic import check_writes
from sepcore.system.os_errors import fix_for, reason_of


def check_writable(folder: Path, option: str) -> None:
    """Make ``folder`` if need be and write to it once.

    Args:
        folder: Where output shall go.
        option: The option that names it, for the hint.

    Raises:
        ConfigError: if it cannot be made, or no file can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_writes(folder)
    except OSError as error:
        raise ConfigError(
            f"cannot be written to ({reason_of(error)})",
            path=folder,
            hint=f"{fix_for(error)}, or choose another folder with {option}.",
            errno=error.errno,
        ) from error
