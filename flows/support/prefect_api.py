"""Prefect's API: where its settings say it is, without importing Prefect, and what to do when it goes away."""

import logging
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from sepcore.errors import ConfigError, StemworksError

UNAUTHORIZED = 401, 403
"""Answers of a server that wants a credential, or another one."""


def configured_prefect_api() -> str | None:
    """The address of the server that Prefect's settings name, if they name one."""
    return prefect_setting("api", "url") or None


def prefect_home() -> Path:
    """Prefect's folder, with its database and its profiles; ConfigError for a user without a home."""
    home = Path(prefect_setting("home") or "~/.prefect")
    try:
        return home.expanduser()
    except RuntimeError as error:
        raise ConfigError("this user has no home", path=home, hint="Set PREFECT_HOME to a folder.") from error


def prefect_setting(*path: str) -> str | None:
    """A setting, from where Prefect takes it: the environment, ``.env``, its TOML files here, the active profile.

    Args:
        path: Its place in the TOML files, e.g. ``api``, ``url`` for ``PREFECT_API_URL``.

    Returns:
        The first value found, which may be empty as an exported variable may be; None if there is none.
    """
    name = "_".join(("prefect", *path))
    sources = (
        lambda: _variable(os.environ, name),
        lambda: _variable(_dotenv(), name),
        lambda: _entry(_toml(Path("prefect.toml")), *path),
        lambda: _entry(_toml(Path("pyproject.toml")), "tool", "prefect", *path),
        lambda: _active_profile().get(name.upper()),
    )
    values = (source() for source in sources)
    return next((str(value) for value in values if value is not None and not isinstance(value, dict)), None)


def _active_profile() -> dict[str, Any]:
    # As Prefect looks for this one: names in upper case only, and empty ones do not count.
    named = (
        os.environ.get("PREFECT_PROFILES_PATH")
        or _dotenv().get("PREFECT_PROFILES_PATH")
        or _entry(_toml(Path("prefect.toml")), "profiles_path")
        or _entry(_toml(Path("pyproject.toml")), "tool", "prefect", "profiles_path")
    )
    content = _toml(Path(named or f"{os.environ.get('PREFECT_HOME') or '~/.prefect'}/profiles.toml"))
    active = os.environ.get("PREFECT_PROFILE") or content.get("active")
    profile = _entry(content, "profiles", active) if active else None
    return profile if isinstance(profile, dict) else {}


def _variable(variables: Mapping[str, str], name: str) -> str | None:
    """A variable whose name may be in upper or lower case."""
    return {key.lower(): value for key, value in variables.items()}.get(name)


def _dotenv() -> dict[str, str]:
    path = Path(".env")
    if not path.is_file() or not find_spec("dotenv"):  # which comes with Prefect: without it nobody asks
        return {}
    from dotenv import dotenv_values

    try:
        return {key: value for key, value in dotenv_values(path).items() if value is not None}
    except (OSError, ValueError):  # as below
        return {}


def _toml(path: Path) -> dict[str, Any]:
    """A TOML file's content; {} if it is missing or broken, which Prefect itself will report."""
    try:
        return tomllib.loads(path.expanduser().read_text("utf-8"))
    except (OSError, ValueError, RuntimeError):  # the last for a user without a home
        return {}


def _entry(content: object, *path: str) -> Any:
    for key in path:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def missing_credential(url: str) -> ConfigError:
    """The error of a client without the credential."""
    return ConfigError(
        f"Prefect's API at {url} wants its credential",
        hint="Give this shell the line `export PREFECT_API_AUTH_STRING=…` that `python -m flows.serve` printed.",
    )


def is_unauthorized(error: BaseException) -> bool:
    """Whether an error says that Prefect's server wants a credential, or another one."""
    from httpx import HTTPStatusError

    return isinstance(error, HTTPStatusError) and error.response.status_code in UNAUTHORIZED


def is_of_prefect_api(error: BaseException) -> bool:
    """Whether an error says that Prefect's API went away or lost the run: no other HTTP error reaches a command."""
    if "prefect" not in sys.modules:
        return False
    from httpx import HTTPError
    from prefect.exceptions import ObjectNotFound

    # Prefect raises a RuntimeError from the error of a server that it does not reach.
    return any(isinstance(one, (HTTPError, ObjectNotFound)) for one in (error, error.__cause__))


def raise_without_api(error: Exception) -> NoReturn:
    """Raise what ended a command, if only Prefect could not be told of it; otherwise that Prefect's API failed."""
    for cause in causes(error):
        if isinstance(cause, StemworksError | KeyboardInterrupt):
            raise cause
    where = os.environ.get("PREFECT_API_URL", "").rstrip("/")
    if is_unauthorized(error):
        raise missing_credential(where)
    reason = (str(error).splitlines() or [""])[0] or type(error).__name__
    raise StemworksError(
        f"Prefect's API{where and f' at {where}'} failed ({reason})",
        hint="Start it with `prefect server start`, or remove it from PREFECT_API_URL and Prefect's profile. Completed "
        "work was kept; run the same command again to resume.",
    )


def end_at_once(code: int) -> NoReturn:
    """End the process without its clean-up: memory to free, what Prefect would still send to an API that is away.

    Prefect sends every event before a process ends and tries each for ten seconds, three events for every song's task:
    a command on a large dataset would hang for hours after its last line.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # a terminal that has been closed
            stream.flush()
    os._exit(code)


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error, all that it was raised from or while handling, and so on; each once."""
    left: list[BaseException | None] = [error]
    seen = set()
    while left:
        cause = left.pop()
        if cause is not None and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            left += cause.__context__, cause.__cause__
