"""What Prefect's settings say, found out without importing Prefect, which takes seconds."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sepcore.errors import ConfigError


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
    found = _outside_profiles(*path)
    if found is None:
        value = _active_profile().get("_".join(("prefect", *path)).upper())
        found = None if value is None else str(value)
    return found


def _outside_profiles(*path: str) -> str | None:
    name = "_".join(("prefect", *path))
    sources = (
        lambda: _variable(os.environ, name),
        lambda: _variable(_dotenv(), name),
        lambda: _entry(_toml(Path("prefect.toml")), *path),
        lambda: _entry(_toml(Path("pyproject.toml")), "tool", "prefect", *path),
    )
    values = (source() for source in sources)
    return next((str(value) for value in values if value is not None and not isinstance(value, dict)), None)


def _active_profile() -> dict[str, Any]:
    file = _outside_profiles("profiles_path") or f"{os.environ.get('PREFECT_HOME') or '~/.prefect'}/profiles.toml"
    content = _toml(Path(file))
    active = os.environ.get("PREFECT_PROFILE") or content.get("active")
    profile = _entry(content, "profiles", active) if active else None
    return profile if isinstance(profile, dict) else {}


def _variable(variables: Mapping[str, str], name: str) -> str | None:
    """A variable whose name may be in upper or lower case."""
    return {key.lower(): value for key, value in variables.items()}.get(name)


def _dotenv() -> dict[str, str]:
    path = Path(".env")
    if not path.is_file():
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
